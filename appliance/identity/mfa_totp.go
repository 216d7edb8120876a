package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"image/color"
	"net/url"
	"strings"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp/hotp"
)

// What every authenticator app does, whatever the URI says: SHA-1, six digits,
// thirty seconds (RFC 6238).
const (
	totpPeriod = 30
	totpSecret = 20 // bytes, the length of SHA-1 as RFC 4226 recommends
)

// NewTOTP is a secret that an authenticator app has to be given, shown once.
type NewTOTP struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
	QRSVG  string `json:"qr_svg"`
}

func newTOTPSecret() string {
	raw := make([]byte, totpSecret)
	rand.Read(raw)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
}

// totpURI is the key URI format that authenticator apps read from QR codes.
func totpURI(issuer, account, secret string) string {
	issuer = strings.ReplaceAll(issuer, ":", " ")
	q := "secret=" + secret + "&issuer=" + url.PathEscape(issuer) + "&algorithm=SHA1&digits=6&period=30"
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(account) + "?" + q
}

// matchStep finds the time step a code belongs to: this one, the one before or
// the one after. Steps up to last were used and never match again, also when
// the clock is set back.
func matchStep(secret, code string, now time.Time, last int64) (int64, bool) {
	code = strings.ReplaceAll(strings.TrimSpace(code), " ", "")
	current := now.Unix() / totpPeriod
	for _, step := range []int64{current, current - 1, current + 1} {
		if step <= last {
			continue
		}
		want, err := hotp.GenerateCode(secret, uint64(step))
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, true
		}
	}
	return 0, false
}

// qrSVG draws text as a QR code: one path, dark on light in any theme, with
// the quiet zone of four modules that scanners need.
func qrSVG(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", err
	}
	const quiet = 4
	n := code.Bounds().Dx()
	dark := func(x, y int) bool { return color.GrayModel.Convert(code.At(x, y)).(color.Gray).Y < 128 }
	var path strings.Builder
	for y := range n {
		for x := 0; x < n; x++ {
			start := x
			for x < n && dark(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quiet, y+quiet, x-start, x-start)
			}
		}
	}
	size := n + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges" role="img" aria-label="QR code">`+
		`<path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path fill="#000" d="%[2]s"/></svg>`, size, path.String()), nil
}
