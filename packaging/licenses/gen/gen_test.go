package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../.."

// TestEveryPartHasALicence: of what is linked into the program, taken by the
// interface and packed with Postgres, each has a licence that is known and its text,
// and a second run says the same.
func TestEveryPartHasALicence(t *testing.T) {
	list, err := collect(root)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, c := range list.Components {
		kinds[c.Kind]++
		if c.License == "" || len(c.Texts) == 0 || c.Version == "" || !strings.HasPrefix(c.PURL, "pkg:") {
			t.Errorf("%+v", c)
		}
	}
	if kinds["go"] < 300 || kinds["npm"] < 20 || kinds["postgres"] != 6 {
		t.Errorf("not everything was found: %v", kinds)
	}
	again, err := collect(root)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := json.Marshal(list)
	second, _ := json.Marshal(again)
	if string(first) != string(second) {
		t.Error("a second run gives another list")
	}
}

func TestBillOfMaterials(t *testing.T) {
	list, err := collect(root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := billOfMaterials(list, "1.2.3", "1700000000")
	if err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	if b.Metadata.Timestamp != "2023-11-14T22:13:20Z" || len(b.Components) != len(list.Components) || len(b.Dependencies[0].On) != len(b.Components) {
		t.Errorf("%+v, %d components", b.Metadata, len(b.Components))
	}
	refs := map[string]bool{}
	for _, c := range b.Components {
		if refs[c.Ref] {
			t.Errorf("%s is there twice", c.Ref)
		}
		refs[c.Ref] = true
	}
	if _, err := billOfMaterials(list, "1", "yesterday"); err == nil {
		t.Error("a time that is no number was taken")
	}
}

func TestIdentify(t *testing.T) {
	for file, want := range map[string]string{
		"postgresql": "PostgreSQL", "openssl": "OpenSSL", "icu": "ICU", "libxml2": "MIT", "zlib": "Zlib", "xz": "LicenseRef-public-domain",
	} {
		text, err := os.ReadFile(filepath.Join("..", "postgres", file+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		if got := expression([]string{string(text)}); got != want {
			t.Errorf("%s is %q, not %q", file, got, want)
		}
	}
	if got := expression([]string{"All rights reserved."}); got != "" {
		t.Errorf("a text that grants nothing is %q", got)
	}
}
