// Package licenses holds what the program is made of and under which licences:
// every linked Go module, every package of the interface, and the Postgres server
// with its libraries. The folder generated is filled before the program is
// compiled (gen); without that the list is empty.
package licenses

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/klauspost/compress/zstd"
)

// Component is one piece of somebody's software inside the program.
type Component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Kind    string `json:"kind"` // go, npm or postgres
	// License is an SPDX expression, PURL the package's address.
	License string `json:"license"`
	PURL    string `json:"purl"`
	// Texts are the numbers of its licences and notices in List.Texts.
	Texts []int `json:"texts"`
}

// List is every component, by kind and name, and every text once.
type List struct {
	Components []Component `json:"components"`
	Texts      []string    `json:"texts"`
}

// File is where the generator writes a List, compressed.
const File = "generated/third-party.json.zst"

//go:embed all:generated
var generated embed.FS

// ErrNone is returned by a program that was compiled without its list.
var ErrNone = errors.New("this program was compiled without the list of its parts: build it with `make build`")

// Read returns the list that was compiled in, or ErrNone.
func Read() (List, error) {
	var list List
	packed, err := generated.ReadFile(File)
	if errors.Is(err, fs.ErrNotExist) {
		return list, ErrNone
	}
	if err != nil {
		return list, err
	}
	reader, err := zstd.NewReader(nil)
	if err != nil {
		return list, err
	}
	defer reader.Close()
	text, err := reader.DecodeAll(packed, nil)
	if err != nil {
		return list, fmt.Errorf("the list of licences is damaged: %w", err)
	}
	return list, json.Unmarshal(text, &list)
}
