package identity

import (
	"crypto/sha256"
	_ "embed" // the list
	"sort"
	"strings"
	"unicode"
)

// breached is the beginning of the SHA-256 of each of 49,000 passwords that are
// known to attackers, 4 bytes each, sorted. breached_gen.go makes it from the
// password list of zxcvbn-ts (MIT), which comes from leaks. A look-up takes a
// word that is not in the list for one that is with a chance of 1 in 87,000.
//
//go:embed breached.bin
var breached string

// ours are words that are tried first on an appliance of this kind.
var ours = map[string]bool{
	"administrator": true, "changeme": true, "nimbus": true, "proxmox": true, "hypervisor": true, "virtualization": true,
}

func listed(word string) bool {
	sum := sha256.Sum256([]byte(word))
	want := string(sum[:4])
	n := len(breached) / 4
	i := sort.Search(n, func(i int) bool { return breached[i*4:i*4+4] >= want })
	return ours[word] || i < n && breached[i*4:i*4+4] == want
}

// guessable reports whether a password is among the first that are tried: on
// the list, a word of the list with a few digits and marks around it, with
// letters replaced by digits, or a pattern.
func guessable(password string) bool {
	lower := strings.ToLower(password)
	for _, form := range []string{lower, plain.Replace(lower), plainI.Replace(lower)} {
		if listed(form) || listed(core(form)) || listed(core(plain.Replace(core(form)))) {
			return true
		}
	}
	return repeats(lower) || straight(lower)
}

// plain undoes the usual replacements of letters; 1 stands for l or i.
var (
	plain  = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")
	plainI = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")
)

// decoration is how many digits and marks around a word are worth nothing.
const decoration = 8

// core is a password without what is around its letters, or all of it when
// that is much.
func core(lower string) string {
	bare := strings.TrimFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) })
	if len(bare) < 4 || len(lower)-len(bare) > decoration {
		return lower
	}
	return bare
}

// repeats reports whether it is one short piece over and over.
func repeats(s string) bool {
	for n := 1; n <= min(len(s)/2, 10); n++ {
		if strings.Repeat(s[:n], len(s)/n+1)[:len(s)] == s {
			return true
		}
	}
	return false
}

// straight reports whether each character follows the one before, as in
// abcdefgh and 987654321098.
func straight(s string) bool {
	for _, step := range []int{1, -1} {
		i := 1
		for i < len(s) && (int(s[i])-int(s[i-1]) == step || int(s[i])-int(s[i-1]) == -9*step && unicode.IsDigit(rune(s[i]))) {
			i++
		}
		if i >= len(s) {
			return true
		}
	}
	return false
}
