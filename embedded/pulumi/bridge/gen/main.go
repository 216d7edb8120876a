// Command gen writes the schema and metadata of the bridged provider,
// compressed, beside package bridge. make generate runs it in the repository's root.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"

	"nimbus/embedded/pulumi/bridge"
)

const target = "embedded/pulumi/bridge"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate the provider's schema:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "nimbus-bridge-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	os.Args = []string{"pulumi-tfgen-" + bridge.Name, "schema", "--out", dir, "--skip-docs", "--skip-examples", "--quiet"}
	tfgen.MainWithMuxer(bridge.Name, bridge.Info(context.Background(), []byte("{}")))
	for _, f := range [][2]string{{"schema.json", "schema.json.gz"}, {"bridge-metadata.json", "metadata.json.gz"}} {
		if err := pack(filepath.Join(dir, f[0]), filepath.Join(target, f[1])); err != nil {
			return err
		}
	}
	return nil
}

// pack compacts a JSON file and writes it gzipped without a time stamp, so that
// the same input gives the same bytes.
func pack(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var compact, packed bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(compact.Bytes()); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, packed.Bytes(), 0o644)
}
