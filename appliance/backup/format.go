package backup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

// Format is the newest version of archives that this release reads and the one
// that it writes.
const Format = 1

// Bounds of what is read, whatever an archive says of itself.
const (
	headerName   = "nimbus-backup.json"
	manifestName = "manifest.json"
	maxHeader    = 64 << 10
	maxManifest  = 1 << 30
	maxFiles     = 20_000_000
	maxName      = 4096
)

// parts are the first names of paths in an archive, and in a data directory.
var parts = []string{"postgres", "keys", "local", "pulumi", "hsm", "audit"}

// Header says what an archive is. It comes first, so that one that cannot be
// used is refused before anything is read.
type Header struct {
	Format    int       `json:"format"`
	ID        id.ID     `json:"id"`
	Kind      Kind      `json:"kind"`
	Appliance id.ID     `json:"appliance_id"`
	Name      string    `json:"name"`
	Version   string    `json:"nimbus"`
	Postgres  string    `json:"postgres"` // major version
	Schema    string    `json:"schema"`   // the newest migration
	CreatedAt time.Time `json:"created_at"`
}

// Manifest says what is in an archive. It comes last.
type Manifest struct {
	Header
	Base  Base   `json:"base"`
	Heads []Head `json:"audit_heads"`
	Files []File `json:"files"`
	Bytes int64  `json:"bytes"` // of all files, unpacked
}

// File is a file in an archive, or a folder when Sum is empty.
type File struct {
	Path string `json:"path"`
	Size int64  `json:"size,omitempty"`
	Sum  string `json:"sha256,omitempty"`
}

// Summary is kept beside an archive, encrypted like it: what a list shows.
type Summary struct {
	Header
	Base     Base     `json:"base"`
	Includes []string `json:"includes"`
	Unpacked int64    `json:"unpacked"`
	Bytes    int64    `json:"bytes"`  // of the archive
	Sum      string   `json:"sha256"` // of the archive
}

// includes names the parts that files belong to, in the order of parts.
func (m Manifest) includes() []string {
	seen := map[string]bool{}
	for _, f := range m.Files {
		part, _, _ := strings.Cut(f.Path, "/")
		seen[part] = true
	}
	return slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return !seen[p] })
}

// Reader says what this release can restore.
type Reader struct {
	Postgres string // major version
	Schema   string // the newest migration
}

// accept refuses what a newer release made, and another Postgres.
func (r Reader) accept(h Header) error {
	switch {
	case h.Format > Format:
		return fault.New(fault.Conflict, "A newer Nimbus (%s) made this backup, in format %d; this one reads format %d. Install that version or a newer one, and restore with it.", h.Version, h.Format, Format)
	case h.Format < 1:
		return errDamaged("its header holds no format")
	case h.Schema > r.Schema:
		return fault.New(fault.Conflict, "A newer Nimbus (%s) made this backup. Install that version or a newer one, and restore with it.", h.Version)
	case h.Postgres != r.Postgres:
		return fault.New(fault.Conflict, "This backup was made with Postgres %s, and this Nimbus runs Postgres %s. Install Nimbus %s, restore with it, and upgrade then.", h.Postgres, r.Postgres, h.Version)
	}
	return nil
}

func errDamaged(what string) error {
	return fault.New(fault.Unprocessable, "The backup is damaged or was changed: %s. Nothing was touched. Take another backup.", what)
}

// safePath tells whether a name may be a path in an archive.
func safePath(name string) bool {
	if len(name) > maxName || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return false
	}
	part, _, _ := strings.Cut(name, "/")
	return slices.Contains(parts, part)
}

// ReadKey finds the key in what a person gives: the whole recovery kit, or its
// line with the key. Fault: Unprocessable.
func ReadKey(text string) (*age.X25519Identity, error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if !strings.HasPrefix(line, "AGE-SECRET-KEY-1") {
			continue
		}
		key, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fault.Wrap(fault.Unprocessable, err, "The key has a typing error. Paste the recovery kit again, from its first to its last line.")
		}
		return key, nil
	}
	return nil, fault.New(fault.Unprocessable, "There is no key in this text. Paste the recovery kit, or its line that begins with AGE-SECRET-KEY-1.")
}

// wrongKey translates what age says.
func wrongKey(err error) error {
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return fault.Wrap(fault.Unprocessable, err, "This recovery kit does not open the backup: it is another appliance's, or an older or newer kit. Find the kit that was in use when the backup was made. Nothing was touched.")
	}
	return fault.Wrap(fault.Unprocessable, err, "The file is not a backup, or it is damaged. Nothing was touched.")
}

// recipients parses age recipients. Fault: Invalid.
func recipients(texts []string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, text := range texts {
		r, err := age.ParseX25519Recipient(strings.TrimSpace(text))
		if err != nil {
			return nil, fault.BadField("body.recipients", "%q is no age recipient. One begins with age1.", text)
		}
		all = append(all, r)
	}
	return all, nil
}

func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return errDamaged("what it says of itself cannot be read")
	}
	return nil
}
