// Command gen lists what the program is made of: for `nimbus licenses` with every
// licence's text, and as a bill of materials (CycloneDX).
//
//	go run ./packaging/licenses/gen [-sbom FILE -version VERSION]
//
// The same sources give the same bytes. A part without a licence it knows is an error.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"nimbus/packaging/licenses"
)

func main() {
	sbom := flag.String("sbom", "", "write a bill of materials to this file")
	version := flag.String("version", "dev", "version of the program, for the bill of materials")
	flag.Parse()
	if err := run(*sbom, *version); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(sbom, version string) error {
	list, err := collect(".")
	if err != nil {
		return err
	}
	if err := write(filepath.Join("packaging", "licenses", licenses.File), list); err != nil {
		return err
	}
	if sbom == "" {
		return nil
	}
	text, err := billOfMaterials(list, version, os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	return os.WriteFile(sbom, text, 0o644)
}

// write packs the list, and leaves a file of the same bytes alone, so that nothing is
// compiled again.
func write(path string, list licenses.List) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	packed := packer.EncodeAll(text, nil)
	if now, err := os.ReadFile(path); err == nil && string(now) == string(packed) {
		return packer.Close()
	}
	return errors.Join(packer.Close(), os.WriteFile(path, packed, 0o644))
}

// collect asks every kind of part, in the repository at root.
func collect(root string) (licenses.List, error) {
	b := &builder{numbers: map[string]int{}}
	err := errors.Join(b.modules(root), b.packages(root), b.postgres(root))
	return b.list, err
}

// builder gathers components and keeps each text once.
type builder struct {
	list    licenses.List
	numbers map[string]int
}

// add takes a component with the texts of its licences; the licence is what the texts
// say unless it is known already.
func (b *builder) add(c licenses.Component, texts []string) error {
	for _, text := range texts {
		n, ok := b.numbers[text]
		if !ok {
			n = len(b.list.Texts)
			b.numbers[text] = n
			b.list.Texts = append(b.list.Texts, text)
		}
		c.Texts = append(c.Texts, n)
	}
	if c.License == "" {
		c.License = expression(texts)
	}
	if c.License == "" || len(c.Texts) == 0 {
		return fmt.Errorf("%s %s: no licence that is known was found", c.Name, c.Version)
	}
	b.list.Components = append(b.list.Components, c)
	return nil
}
