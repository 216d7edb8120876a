// Schemagen cuts the parameter schema of the methods that the simulator claims out of the
// method tree of a Proxmox VE server and writes it compressed beside the package. What only
// documents (descriptions, type texts, defaults) is left out.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

type method struct {
	Method      string          `json:"method"`
	Path        string          `json:"path"`
	ProxyTo     string          `json:"proxyto"`
	Permissions json.RawMessage `json:"permissions"`
	Parameters  struct {
		Additional any            `json:"additionalProperties"`
		Properties map[string]any `json:"properties"`
	} `json:"parameters"`
}

// kept maps the keys of a property that matter for checking to their short names in the output.
var kept = map[string]string{
	"type": "t", "enum": "e", "minimum": "min", "maximum": "max", "pattern": "re",
	"maxLength": "maxl", "minLength": "minl", "optional": "opt", "requires": "req",
	"default_key": "dk", "alias": "al", "keyAlias": "ka",
}

func main() {
	schema := flag.String("schema", "shared/pve/api-schema.json", "method tree, searched in the parent folders")
	claims := flag.String("claims", "claims.txt", "claimed methods, one `METHOD path` a line")
	out := flag.String("out", "schema.json.gz", "file to write")
	flag.Parse()
	if err := run(*schema, *claims, *out); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func run(schema, claims, out string) error {
	tree, err := readTree(schema)
	if err != nil {
		return err
	}
	list, err := os.ReadFile(claims)
	if err != nil {
		return err
	}
	result := map[string]any{}
	for _, line := range strings.Fields(strings.ReplaceAll(string(list), " ", "\x00")) {
		claim := strings.ReplaceAll(line, "\x00", " ")
		m, ok := tree[claim]
		if !ok {
			return fmt.Errorf("%s is claimed but not in %s", claim, schema)
		}
		result[claim] = compact(m)
	}
	return write(out, result)
}

// readTree finds the schema file in this folder or one above it and indexes it by "METHOD path".
func readTree(name string) (map[string]method, error) {
	data, err := readUpwards(name)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Methods []method `json:"methods"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	tree := make(map[string]method, len(doc.Methods))
	for _, m := range doc.Methods {
		tree[m.Method+" "+m.Path] = m
	}
	return tree, nil
}

func readUpwards(name string) ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return data, err
		}
		if dir == filepath.Dir(dir) {
			return nil, fmt.Errorf("%s is in no parent folder", name)
		}
		dir = filepath.Dir(dir)
	}
}

func compact(m method) map[string]any {
	properties := map[string]any{}
	for name, p := range m.Parameters.Properties {
		properties[name] = property(p.(map[string]any))
	}
	result := map[string]any{"p": properties}
	if len(m.Permissions) > 0 {
		var perm map[string]any
		if json.Unmarshal(m.Permissions, &perm) == nil {
			delete(perm, "description")
			result["perm"] = perm
		}
	}
	if m.Parameters.Additional == nil {
		result["open"] = true
	}
	return result
}

func property(p map[string]any) map[string]any {
	result := map[string]any{}
	for from, to := range kept {
		if v, ok := p[from]; ok {
			result[to] = typed(to, v)
		}
	}
	if re, ok := result["re"].(string); ok {
		if _, err := regexp.Compile("^(?:" + re + ")$"); err != nil {
			delete(result, "re")
		}
	}
	switch format := p["format"].(type) {
	case string:
		result["f"] = format
	case map[string]any:
		keys := map[string]any{}
		for k, v := range format {
			keys[k] = property(v.(map[string]any))
		}
		result["o"] = keys
	}
	if items, ok := p["items"].(map[string]any); ok {
		result["it"] = property(items)
	}
	return result
}

// typed settles what the tree writes as text in one place and as a number in another.
func typed(key string, v any) any {
	switch key {
	case "min", "max", "maxl", "minl", "dk":
		if n, err := strconv.ParseFloat(fmt.Sprint(v), 64); err == nil {
			return n
		}
	case "opt":
		return fmt.Sprint(v) != "0"
	case "e":
		items := []string{}
		list, _ := v.([]any)
		for _, item := range list {
			items = append(items, fmt.Sprint(item))
		}
		return items
	}
	return v
}

// write packs the result without a time stamp, so that equal input gives equal bytes.
func write(name string, result any) error {
	data, err := json.Marshal(result)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(name, buf.Bytes(), 0o644)
}
