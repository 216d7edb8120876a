package appliance_test

import (
	"errors"
	"strings"
	"testing"

	"nimbus/appliance"
	"nimbus/appliance/fault"
)

func TestANodeNamesWhatMustBeShared(t *testing.T) {
	t.Parallel()
	whole := appliance.Config{Role: appliance.Web, DatabaseURL: "postgres://db", TemporalAddress: "flows:7233", ValkeyURL: "redis://cache", SharedDir: "/shared"}
	must(t, whole.CheckRole())
	for want, lacks := range map[string]func(*appliance.Config){
		"database-url":     func(c *appliance.Config) { c.DatabaseURL = "" },
		"temporal-address": func(c *appliance.Config) { c.TemporalAddress = "" },
		"valkey-url":       func(c *appliance.Config) { c.ValkeyURL = "" },
		"shared-dir":       func(c *appliance.Config) { c.SharedDir = "" },
		"all, web or":      func(c *appliance.Config) { c.Role = "leader" },
	} {
		c := whole
		lacks(&c)
		var f *fault.Error
		if err := c.CheckRole(); !errors.As(err, &f) || f.Kind != fault.Invalid || !strings.Contains(f.Message, want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}
