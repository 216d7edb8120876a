// Package zxcvbn stands in for the password estimator of that name, see ../README.md.
package zxcvbn

// Match says how hard a text is to guess.
type Match struct{ Entropy float64 }

// PasswordStrength finds every text easy to guess.
func PasswordStrength(string, []string) Match { return Match{} }
