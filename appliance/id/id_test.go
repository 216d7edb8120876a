package id_test

import (
	"strings"
	"testing"

	"nimbus/appliance/id"
)

// TestRobustness23OnlyIDsAreIDs feeds what could collide in the key of a cache
// or the name of a channel, a room or a schema: nothing but an id is taken, and
// one id is one text.
func TestRobustness23OnlyIDsAreIDs(t *testing.T) {
	t.Parallel()
	real := id.New().String()
	for _, text := range []string{"*", ":", "%", "?", real + ":*", "*:" + real, real + ":" + real, real + "*", " " + real, real + "\n", "\u0660" + real[1:],
		"\uff11" + real[1:], real[:35], real + "0", strings.ReplaceAll(real, "-", ":"), "tenant_" + real, "core", "public", "pg_temp", "\x00" + real[1:]} {
		if got, err := id.Parse(text); err == nil && got.String() == text {
			t.Errorf("%q is taken for an id", text)
		}
	}
	for _, other := range []string{strings.ToUpper(real), strings.ReplaceAll(real, "-", "")} {
		if got, err := id.Parse(other); err == nil && got.String() != real {
			t.Errorf("%q became %s", other, got)
		}
	}
	seen := map[string]bool{}
	for range 1000 {
		hex := id.New().Hex()
		if seen[hex] || strings.Trim(hex, "0123456789abcdef") != "" || len(hex) != 32 {
			t.Errorf("%q names a schema", hex)
		}
		seen[hex] = true
	}
}
