package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"nimbus/packaging/licenses"
)

// module is one that is linked, with the folders of its linked packages.
type module struct {
	Path, Version, Dir string
	ours               bool // replaced by a folder of this repository
	packages           []string
}

// modules adds what is linked into the program, and Go's own library.
func (b *builder) modules(root string) error {
	all, err := linked(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range all {
		if m.ours {
			continue // written here in place of the original
		}
		texts, err := m.texts()
		if err == nil && len(texts) == 0 {
			texts, err = parentOf(m, all).texts() // part of a repository with one licence for all
		}
		c := licenses.Component{Name: m.Path, Version: m.Version, Kind: "go", PURL: "pkg:golang/" + m.Path + "@" + m.Version}
		if s, ok := said[m.Path]; ok && len(texts) == 0 {
			c.License, texts = s.license, []string{s.text}
		}
		if err == nil {
			err = b.add(c, texts)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// said is what is known of modules that come without a licence's text.
var said = map[string]struct{ license, text string }{
	"github.com/cactus/go-statsd-client/statsd": {"MIT", "Copyright (c) 2012-2016 Eli Janssen\nUse of this source code is governed by an MIT-style license that can be found in the LICENSE file of its repository."},
	"github.com/pulumi-labs/pulumi-hcl":         {"Apache-2.0", "Its README says: Apache 2.0."},
	// It comes with go.temporal.io/api, whose own licence is MIT.
	"github.com/nexus-rpc/nexus-proto-annotations": {"LicenseRef-unstated", "Neither the module nor its repository states a licence."},
}

// linked asks the go command.
func linked(root string) ([]*module, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=Dir,ImportPath,Standard,Module,Root", "./cmd/nimbus")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	found := map[string]*module{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir, Root string
			Standard  bool
			Module    *struct {
				Path, Version, Dir string
				Main               bool
				Replace            *struct{ Path, Version, Dir string }
			}
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		m := module{Path: "std", Dir: p.Root}
		switch {
		case p.Module != nil && p.Module.Main:
			continue
		case p.Module != nil:
			m = module{Path: p.Module.Path, Version: p.Module.Version, Dir: p.Module.Dir}
			if r := p.Module.Replace; r != nil && r.Version != "" {
				m.Path, m.Version = r.Path, r.Version
			} else if r != nil {
				m.ours = true
			}
		case !p.Standard:
			continue
		}
		if found[m.Path] == nil {
			found[m.Path] = &m
		}
		if m.Path != "std" {
			found[m.Path].packages = append(found[m.Path].packages, p.Dir)
		}
	}
	if std := found["std"]; std != nil {
		std.Version, std.packages = goVersion(root), []string{std.Dir}
	}
	all := make([]*module, 0, len(found))
	for _, m := range found {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

func goVersion(root string) string {
	cmd := exec.Command("go", "env", "GOVERSION")
	cmd.Dir = root
	out, _ := cmd.Output()
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "go")
}

// parentOf is the module whose repository m lies in, or m.
func parentOf(m *module, all []*module) *module {
	best := m
	for _, other := range all {
		if strings.HasPrefix(m.Path, other.Path+"/") && (best == m || len(other.Path) > len(best.Path)) {
			best = other
		}
	}
	return best
}

var licenseFile = regexp.MustCompile(`(?i)^(li[cs]en[cs]e|copying|notice|unlicense|copyright)([-._].*)?$`)

// texts are the licences and notices in the folders of the packages and in those above
// them, up to the module's.
func (m *module) texts() ([]string, error) {
	seen := map[string]bool{}
	var texts []string
	for _, dir := range m.packages {
		for ; len(dir) >= len(m.Dir) && !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			found, err := licensesIn(dir)
			if err != nil {
				return nil, err
			}
			texts = append(texts, found...)
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts), nil
}

func licensesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var texts []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenseFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, tidy(string(text)))
	}
	return texts, err
}

// tidy makes texts that differ in line ends only the same.
func tidy(text string) string {
	lines := strings.Split(strings.ToValidUTF8(strings.ReplaceAll(text, "\r\n", "\n"), "?"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// packages adds what the build of the interface says it took, with the versions
// that are locked.
func (b *builder) packages(root string) error {
	text, err := os.ReadFile(filepath.Join(root, "ui", "dist", "3rdpartylicenses.txt"))
	if err != nil {
		return fmt.Errorf("build the interface first: %w", err)
	}
	versions, err := locked(filepath.Join(root, "ui", "package-lock.json"))
	if err != nil {
		return err
	}
	rule := "\n" + strings.Repeat("-", 80) + "\n"
	for _, part := range strings.Split("\n"+strings.TrimLeft(string(text), "\n"), rule) {
		if strings.TrimSpace(part) == "" {
			continue
		}
		if err := b.add1(part, versions); err != nil {
			return err
		}
	}
	return nil
}

// add1 adds a package of the interface from its paragraph: name, licence, text.
func (b *builder) add1(part string, versions map[string]string) error {
	s := bufio.NewScanner(strings.NewReader(strings.TrimLeft(part, "\n")))
	s.Buffer(nil, 1<<20)
	var c licenses.Component
	var rest []string
	for s.Scan() {
		if name, ok := strings.CutPrefix(s.Text(), "Package: "); ok && c.Name == "" {
			c.Name = name
		} else if id, ok := strings.CutPrefix(s.Text(), "License: "); ok && c.License == "" {
			c.License = strings.Trim(id, `"`)
		} else {
			rest = append(rest, s.Text())
		}
	}
	c.Version, c.Kind = versions[c.Name], "npm"
	if c.Version == "" {
		return fmt.Errorf("package %q of the interface has no locked version", c.Name)
	}
	c.PURL = "pkg:npm/" + strings.Replace(c.Name, "@", "%40", 1) + "@" + c.Version
	text := tidy(strings.Join(rest, "\n"))
	if text == "" {
		text = c.Name + " is licensed under " + c.License + "; the package comes without a text."
	}
	return b.add(c, []string{text})
}

func locked(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, err
	}
	versions := map[string]string{}
	for at, p := range lock.Packages {
		if name, ok := strings.CutPrefix(at, "node_modules/"); ok && !strings.Contains(name, "/node_modules/") {
			versions[name] = p.Version
		}
	}
	return versions, nil
}

// inBundle are the parts of the archive of Postgres, as its libraries name themselves.
var inBundle = []struct{ name, version, file string }{
	{"icu", "60.2", "icu"},
	{"libxml2", "2.9.4", "libxml2"},
	{"openssl", "1.1.1", "openssl"},
	{"xz", "5.2.2", "xz"},
	{"zlib", "1.2.11", "zlib"},
}

// postgres adds the server and the libraries that come with it.
func (b *builder) postgres(root string) error {
	data, err := os.ReadFile(filepath.Join(root, "embedded", "postgres", "bundle", "postgres-linux-amd64.lock.json"))
	if err != nil {
		return err
	}
	var lock struct{ Version string }
	if err := json.Unmarshal(data, &lock); err != nil {
		return err
	}
	version, _, _ := strings.Cut(lock.Version, ".0-")
	parts := append(inBundle[:len(inBundle):len(inBundle)], struct{ name, version, file string }{"postgresql", version, "postgresql"})
	for _, p := range parts {
		text, err := os.ReadFile(filepath.Join(root, "packaging", "licenses", "postgres", p.file+".txt"))
		if err == nil {
			err = b.add(licenses.Component{Name: p.name, Version: p.version, Kind: "postgres", PURL: "pkg:generic/" + p.name + "@" + p.version}, []string{tidy(string(text))})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
