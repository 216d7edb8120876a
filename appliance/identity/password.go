package identity

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id as OWASP's Password Storage Cheat Sheet recommends
// for a server that many sign in to: 19 MiB, two passes, one lane.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonKey    = 32
)

// hashing bounds how many hashes are computed at once, and so the memory.
var hashing = make(chan struct{}, 4)

// hashPassword returns the PHC string of a password.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt)
	key := derive(password, salt, argonTime, argonMemory, argonLanes, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func derive(password string, salt []byte, time, memory uint32, lanes uint8, size uint32) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, time, memory, lanes, size)
}

// storedHash is a hash of a password as it is stored, taken apart.
type storedHash struct {
	salt, want   []byte
	time, memory uint32
	lanes        uint8
}

// parseHash takes a stored hash apart; ok is false for one that cannot be read.
func parseHash(hash string) (h storedHash, ok bool) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return h, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.lanes); err != nil {
		return h, false
	}
	var err, err2 error
	h.salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	h.want, err2 = base64.RawStdEncoding.DecodeString(parts[5])
	return h, err == nil && err2 == nil && len(h.want) > 0
}

// passwordMatches compares in constant time. A hash that cannot be read matches nothing.
func passwordMatches(hash, password string) bool {
	h, ok := parseHash(hash)
	if !ok {
		return false
	}
	got := derive(password, h.salt, h.time, h.memory, h.lanes, uint32(len(h.want)))
	return subtle.ConstantTimeCompare(got, h.want) == 1
}

// nobody costs a wrong address as much time as a wrong password: a hash with
// today's parameters that no known password has.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$RTruyv/EYLvGONIVVC392g$XtjPJdqmeogB52vZroS/rXSnhw0G4zYcrCQJr8Rr2RI"
