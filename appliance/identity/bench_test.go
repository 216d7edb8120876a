package identity_test

import (
	"testing"

	"nimbus/appliance/identity"
)

// BenchmarkAuthenticate measures what every request pays.
func BenchmarkAuthenticate(b *testing.B) {
	bench := newBench(b)
	token, ann := bench.signIn("ann@example.org")
	secret, _, err := bench.CreateToken(bench.as(ann), identity.NewToken{Name: "x", Days: 1})
	bench.must(err)
	b.Run("session", func(b *testing.B) {
		for b.Loop() {
			_, err := bench.Authenticate(b.Context(), token)
			bench.must(err)
		}
	})
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			_, err := bench.AuthenticateToken(b.Context(), secret)
			bench.must(err)
		}
	})
}
