package pulumi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sort"
	"strings"
)

// Plan is what is to be done, or was done, in a form that a person can read and
// an approval can be bound to.
type Plan struct {
	Changes []Change `json:"changes"` // by URN; resources that stay the same are left out
	// Drift is what a refresh found different from the state, by URN.
	Drift  []Change   `json:"drift,omitempty"`
	Counts map[Op]int `json:"counts"` // of resources, the unchanged ones included
	// Digest is the SHA-256, in hex, over the program, the configuration and
	// the changes. Secrets go in keyed with the stack's passphrase.
	Digest string `json:"digest"`
}

// Change is what happens to one resource.
type Change struct {
	URN   string `json:"urn"`
	Type  string `json:"type"`
	Name  string `json:"name"`
	ID    string `json:"id,omitempty"` // the provider's, of a resource that exists
	Op    Op     `json:"op"`
	Diffs []Diff `json:"diffs,omitempty"`
	// Done is set when the change was made; in a preview never.
	Done bool `json:"done,omitempty"`
}

// Destructive tells whether the change deletes something, a replacement's old
// resource included.
func (c Change) Destructive() bool { return c.Op == OpDelete || c.Op == OpReplace }

// Empty is true when nothing is to be done.
func (p Plan) Empty() bool { return len(p.Changes) == 0 && len(p.Drift) == 0 }

func (c *collector) counts() map[Op]int {
	n := map[Op]int{}
	for _, s := range c.steps {
		if !isInternal(s.Type) {
			n[s.Op]++
		}
	}
	return n
}

// plan gathers the steps.
func (c *collector) plan(r *Run) Plan {
	p := Plan{Changes: []Change{}, Counts: c.counts()}
	for _, urn := range sortedKeys(c.steps) {
		s := c.steps[urn]
		if !isInternal(s.Type) && s.Op != OpSame && s.Op != OpRead {
			p.Changes = append(p.Changes, *s)
		}
	}
	for _, urn := range sortedKeys(c.drift) {
		if d := c.drift[urn]; !isInternal(d.Type) {
			p.Drift = append(p.Drift, *d)
		}
	}
	p.Digest = digest(r, p)
	return p
}

// isInternal tells of the stack itself and of a provider's settings, which the
// engine treats as resources and a person does not.
func isInternal(typ string) bool {
	return typ == stackType || strings.HasPrefix(typ, "pulumi:providers:")
}

// digest hashes the canonical JSON (encoding/json sorts map keys, struct fields
// have a fixed order) of everything an approval is about.
func digest(r *Run, p Plan) string {
	type entry struct {
		Key    string
		Secret bool
		Hash   string
	}
	doc := struct {
		Version        int
		Project, Stack string
		Destroy        bool
		Program        string
		Tags           []string
		Config         []entry
		Changes        []Change
	}{Version: 1, Project: r.Project, Stack: r.Stack, Destroy: r.Destroy, Tags: r.Tags, Changes: p.Changes}
	sum := sha256.Sum256(r.Program)
	doc.Program = hex.EncodeToString(sum[:])
	for key, v := range r.Config {
		doc.Config = append(doc.Config, entry{key, v.Secret, configHash(r, v)})
	}
	sort.Slice(doc.Config, func(i, j int) bool { return doc.Config[i].Key < doc.Config[j].Key })
	data, err := json.Marshal(doc)
	if err != nil {
		return "" // cannot be: everything in doc came from JSON; an empty digest never matches
	}
	sum = sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func configHash(r *Run, v ConfigValue) string {
	data, err := json.Marshal(v.Value)
	if err != nil {
		return ""
	}
	mac := hmac.New(sha256.New, nil)
	if v.Secret {
		mac = hmac.New(sha256.New, []byte(r.Passphrase))
	}
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}
