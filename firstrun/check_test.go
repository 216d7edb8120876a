package firstrun

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"nimbus/appliance/fault"
)

func TestRobustness33AddressIsExact(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://nimbus.example":                          "https://nimbus.example",
		" https://Nimbus.Example:443/ ":                   "https://nimbus.example",
		"https://nimbus.example:8443/":                    "https://nimbus.example:8443",
		"https://192.0.2.1:8443":                          "https://192.0.2.1:8443",
		"https://[2001:DB8::1]:8443":                      "https://[2001:db8::1]:8443",
		"http://nimbus.example":                           "",
		"nimbus.example":                                  "",
		"//nimbus.example":                                "",
		"https://":                                        "",
		"https:nimbus.example":                            "",
		"https:///evil":                                   "",
		"https://user@nimbus.example":                     "",
		"https://nimbus.example@evil":                     "",
		"https://nimbus.example\\@evil":                   "",
		"https://nimbus.example/path":                     "",
		"https://nimbus.example/..":                       "",
		"https://nimbus.example?x=1":                      "",
		"https://nimbus.example?":                         "",
		"https://nimbus.example#x":                        "",
		"https://nimbus.example:":                         "",
		"https://nimbus.example:0":                        "",
		"https://nimbus.example:99999":                    "",
		"https://nimb us.example":                         "",
		"https://-nimbus.example":                         "",
		"https://nimbus..example":                         "",
		"https://nimbus.example\r\nX: y":                  "",
		"https://" + strings.Repeat("a", 64) + ".example": "",
		"javascript:alert(1)":                             "",
	} {
		got, err := checkURL(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
}

func TestTimeZonesAreIANA(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]bool{
		"UTC": true, "Europe/Vienna": true, "America/Argentina/Ushuaia": true,
		"": false, "Local": false, "Europe/Nowhere": false, "../../etc/passwd": false, "/etc/localtime": false,
	} {
		if err := checkZone(zone); (err == nil) != want {
			t.Errorf("%q: %v", zone, err)
		}
	}
	if err := checkZone(localZone()); err != nil {
		t.Error("the machine's own: ", err)
	}
}

func TestOrganisationIsChecked(t *testing.T) {
	t.Parallel()
	good := Organisation{TenantName: " Acme ", AdminName: "Ann", AdminEmail: "ann@acme.example", AdminPassword: "four words are good"}
	if o, err := checkOrganisation(good); err != nil || o.Tenant != "Acme" {
		t.Fatalf("%+v %v", o, err)
	}
	for location, change := range map[string]func(*Organisation){
		"body.tenant_name":    func(o *Organisation) { o.TenantName = "provider root" },
		"body.admin_name":     func(o *Organisation) { o.AdminName = "two\nlines" },
		"body.admin_email":    func(o *Organisation) { o.AdminEmail = "Ann <ann@acme.example>" },
		"body.admin_password": func(o *Organisation) { o.AdminPassword = "short" },
		"body.provider_name":  func(o *Organisation) { o.ProviderName = strings.Repeat("x", 101) },
	} {
		bad := good
		change(&bad)
		_, err := checkOrganisation(bad)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.Invalid || f.Fields[0].Location != location {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func TestKitComesBackAsItWasGiven(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	text := kitText(&appliance{Name: "Nimbus", URL: "https://nimbus.example"}, identity, time.Now())
	for name, form := range map[string]string{
		"as is": text, "windows": "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n"),
		"indented": "\n  " + strings.ReplaceAll(text, "\n", "  \n  ") + "\n\n",
	} {
		got, err := readKit(form)
		if err != nil || got.String() != identity.String() {
			t.Errorf("%s: %v", name, err)
		}
	}
	key := strings.Index(text, keyLine)
	for name, form := range map[string]string{
		"empty": "", "half": text[:len(text)/2], "key only": identity.String(),
		"a digit wrong": text[:key+20] + "Q" + text[key+21:], "no checksum": text[:strings.Index(text, checksumLine)],
		"checksum only": text[strings.Index(text, checksumLine):], "huge": strings.Repeat(text, 100),
	} {
		if form == text {
			continue // the digit was a Q
		}
		if _, err := readKit(form); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersAreStrict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("password", "four words are good\n")
	good := write("good.yaml", `
appliance: {name: Lab, url: "https://lab.example", time_zone: UTC, certificate: {mode: self_signed}}
database: {mode: embedded}
hsm: {mode: none}
organisation: {tenant_name: Acme, admin_name: Ann, admin_email: ann@acme.example, admin_password_file: password}
proxmox: {mode: later}
recovery_kit: {path: kit.txt}
`)
	a, err := ReadAnswers(good)
	if err != nil || a.Appliance.Name != "Lab" || a.Organisation.AdminPassword != "four words are good" || a.RecoveryKit.Path != filepath.Join(dir, "kit.txt") {
		t.Errorf("%+v %v", a, err)
	}
	for text, want := range map[string]string{
		"database: {mode: embedded}\nhsn: {mode: none}\n": "line 2",
		"database:\n  mode: embedded\n  mode: external\n": "line 3",
		"database: [\n":           "line",
		"database: {}\n---\n{}\n": "one document",
		"":                        "EOF",
		"organisation: {admin_password_file: absent}\n": "cannot be read",
	} {
		if _, err := ReadAnswers(write("bad.yaml", text)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
