package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"nimbus/appliance/durable"
	"nimbus/appliance/fault"
)

const (
	keysDir    = "keys"
	requestKey = "join.age" // opens the one bundle that is made for this machine
	// JoinedFile is in the data directory what nimbus.yaml is in /etc.
	JoinedFile = "joined.yaml"
	format     = 1
	largest    = 4 << 20
)

// Bundle is what a new node needs and the database does not have.
type Bundle struct {
	Format int       `json:"format"`
	Name   string    `json:"name"` // of the appliance
	MadeAt time.Time `json:"made_at"`
	// Local is the local store of the node that made it.
	Local map[string]json.RawMessage `json:"local"`
	// Keys are the files of the folder of keys.
	Keys map[string][]byte `json:"keys"`
	// Config are settings as nimbus.yaml has them, and Files those whose value is a
	// file, or has one in a parameter: database-url.sslrootcert.
	Config map[string]string `json:"config"`
	Files  map[string][]byte `json:"files"`
}

// Request makes a key for a machine that is to join and returns its public half.
// Asked again it returns the same. Fault: Conflict when the machine is a node already.
func Request(dataDir string) (recipient string, err error) {
	if err := Fresh(dataDir); err != nil {
		return "", err
	}
	if recipient, err := Requested(dataDir); err == nil {
		return recipient, nil
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	return key.Recipient().String(), durable.Write(filepath.Join(dataDir, keysDir, requestKey), []byte(key.String()+"\n"))
}

// Requested is the public half of the key that Request made.
func Requested(dataDir string) (recipient string, err error) {
	key, err := readRequest(filepath.Join(dataDir, keysDir, requestKey))
	if err != nil {
		return "", err
	}
	return key.Recipient().String(), nil
}

// Fresh returns fault.Conflict unless a data directory belongs to no appliance yet.
func Fresh(dataDir string) error {
	keys, err := os.ReadDir(filepath.Join(dataDir, keysDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, k := range keys {
		if k.Name() != requestKey && k.Name() != "local.key" { // that one is made before anything is decided
			return fault.New(fault.Conflict, "The data directory %s has the keys of an appliance already. Name an empty one with --data-dir.", dataDir)
		}
	}
	if _, err := os.Stat(filepath.Join(dataDir, "postgres")); err == nil {
		return fault.New(fault.Conflict, "The data directory %s has a database of its own. Name an empty one with --data-dir.", dataDir)
	}
	return nil
}

func readRequest(path string) (*age.X25519Identity, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return age.ParseX25519Identity(strings.TrimSpace(string(text)))
}

// Collect adds the files of the folder of keys.
func (b *Bundle) Collect(dataDir string) error {
	b.Keys = map[string][]byte{}
	found, err := os.ReadDir(filepath.Join(dataDir, keysDir))
	if err != nil {
		return err
	}
	for _, f := range found {
		if !f.Type().IsRegular() || f.Name() == requestKey {
			continue
		}
		if b.Keys[f.Name()], err = os.ReadFile(filepath.Join(dataDir, keysDir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Seal encrypts the bundle to the machine that asked, as text that can be pasted.
// Fault: Invalid when that is no request of a machine.
func (b Bundle) Seal(recipient string, to io.Writer) error {
	r, err := age.ParseX25519Recipient(strings.TrimSpace(recipient))
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "This is not what `nimbus node request` prints on the new machine; that begins with age1.")
	}
	b.Format = format
	text := armor.NewWriter(to)
	sealed, err := age.Encrypt(text, r)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(sealed).Encode(b), sealed.Close(), text.Close())
}

// Open decrypts a bundle with the key that Request made. Fault: Conflict when
// there is none; Invalid when the bundle is for another machine, damaged or newer.
func Open(dataDir string, from io.Reader) (b Bundle, err error) {
	key, err := readRequest(filepath.Join(dataDir, keysDir, requestKey))
	if err != nil {
		return b, fault.Wrap(fault.Conflict, err, "This machine has not asked to join. Run `nimbus node request` here first, and give what it prints to `nimbus node admit` on a node.")
	}
	opened, err := age.Decrypt(armor.NewReader(from), key)
	if err != nil {
		return b, fault.Wrap(fault.Invalid, err, "This file does not let this machine in: it is for another one, or damaged. Run `nimbus node request` here again and `nimbus node admit` with what it prints.")
	}
	raw, err := io.ReadAll(io.LimitReader(opened, largest))
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	switch {
	case err != nil:
		return b, fault.Wrap(fault.Invalid, err, "This file is damaged. Make it again with `nimbus node admit`.")
	case b.Format != format:
		return b, fault.New(fault.Invalid, "This file is from another release (format %d). Install the same release on both machines.", b.Format)
	}
	return b, nil
}

// Place writes keys and settings into a fresh data directory, or over what it wrote
// before. The key of the request stays until Forget: with it the bundle can be opened
// again.
func (b Bundle) Place(dataDir string) error {
	dir := filepath.Join(dataDir, keysDir)
	for _, name := range slices.Sorted(maps.Keys(b.Keys)) {
		if err := placeFile(dir, name, b.Keys[name]); err != nil {
			return err
		}
	}
	config := maps.Clone(b.Config)
	for name, content := range b.Files {
		if err := placeFile(dir, name, content); err != nil {
			return err
		}
		if err := pointTo(config, name, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return placeFile(dataDir, JoinedFile, joined(b.Name, config))
}

// pointTo makes a setting, or the parameter of one that is an address, name a file.
func pointTo(config map[string]string, name, path string) error {
	setting, parameter, inside := strings.Cut(name, ".")
	if !inside {
		config[setting] = path
		return nil
	}
	u, err := url.Parse(config[setting])
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "This file holds a setting %s that is no address.", setting)
	}
	q := u.Query()
	q.Set(parameter, path)
	u.RawQuery = q.Encode()
	config[setting] = u.String()
	return nil
}

// Forget removes the key of the request.
func Forget(dataDir string) error { return os.Remove(filepath.Join(dataDir, keysDir, requestKey)) }

// joined is a file of settings.
func joined(name string, config map[string]string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "# What this node uses together with the others of %q. nimbus.yaml, the\n# environment and flags count more.\n", name)
	for _, setting := range slices.Sorted(maps.Keys(config)) {
		value, _ := json.Marshal(config[setting]) // a string in JSON is one in YAML
		fmt.Fprintf(&text, "%s: %s\n", setting, value)
	}
	return []byte(text.String())
}

// placeFile writes a file that only its owner reads. A name that leads elsewhere
// is refused.
func placeFile(dir, name string, content []byte) error {
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fault.New(fault.Invalid, "This file would write %q, and is refused.", name)
	}
	return durable.Write(filepath.Join(dir, name), content)
}
