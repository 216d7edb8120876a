package cmd

import (
	"errors"
	"os"
	"strings"
	"testing"

	"nimbus/packaging/licenses"
)

// TestLicenses: what the build compiled in is listed with its texts; a program that was
// compiled without says so.
func TestLicenses(t *testing.T) {
	if _, err := os.Stat("../packaging/licenses/" + licenses.File); err != nil {
		if _, err := licenses.Read(); !errors.Is(err, licenses.ErrNone) {
			t.Fatal(err)
		}
		return
	}
	if out := run(t, "licenses"); !strings.Contains(out, "go.temporal.io/server") || !strings.Contains(out, "PostgreSQL") || !strings.Contains(out, "@angular/core") {
		t.Errorf("the list lacks parts: %s", out)
	}
	if out := run(t, "licenses", "--texts", "openssl"); !strings.Contains(out, "Eric Young") || strings.Contains(out, "Apache License") {
		t.Errorf("the texts of one part: %s", out)
	}
	if out := run(t, "licenses", "-o", "json", "postgresql"); !strings.Contains(out, `"license":"PostgreSQL"`) {
		t.Errorf("as JSON: %s", out)
	}
}
