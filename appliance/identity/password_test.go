package identity

import (
	"strings"
	"testing"
)

// TestNobodyCostsAsMuchAsAnybody keeps the hash that wrong addresses are
// compared with at the parameters of the real ones.
func TestNobodyCostsAsMuchAsAnybody(t *testing.T) {
	t.Parallel()
	parameters := func(hash string) string { return strings.Join(strings.Split(hash, "$")[:4], "$") }
	if got, want := parameters(nobody), parameters(hashPassword("x")); got != want {
		t.Errorf("nobody has %s, others have %s", got, want)
	}
	for _, password := range []string{"", "nobody", nobody} {
		if passwordMatches(nobody, password) {
			t.Errorf("nobody has the password %q", password)
		}
	}
}
