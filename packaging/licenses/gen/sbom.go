package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"nimbus/packaging/licenses"
)

// The part of CycloneDX 1.5 that is used here.
type (
	bom struct {
		Format       string      `json:"bomFormat"`
		Spec         string      `json:"specVersion"`
		Version      int         `json:"version"`
		Metadata     metadata    `json:"metadata"`
		Components   []component `json:"components"`
		Dependencies []depends   `json:"dependencies"`
	}
	metadata struct {
		Timestamp string    `json:"timestamp,omitempty"`
		Component component `json:"component"`
	}
	component struct {
		Type     string    `json:"type"`
		Ref      string    `json:"bom-ref"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		PURL     string    `json:"purl"`
		Licenses []license `json:"licenses"`
	}
	license struct {
		Expression string `json:"expression"`
	}
	depends struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// billOfMaterials lists the components for machines. epoch is the time of the
// source in seconds, or empty.
func billOfMaterials(list licenses.List, version, epoch string) ([]byte, error) {
	self := component{Type: "application", Name: "nimbus", Version: version, PURL: "pkg:generic/nimbus@" + version, Licenses: []license{{"Apache-2.0"}}}
	self.Ref = self.PURL
	b := bom{Format: "CycloneDX", Spec: "1.5", Version: 1, Metadata: metadata{Component: self}}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		b.Metadata.Timestamp = time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	}
	on := depends{Ref: self.Ref}
	for _, c := range list.Components {
		kind := "library"
		if c.Name == "postgresql" {
			kind = "application"
		}
		b.Components = append(b.Components, component{Type: kind, Ref: c.PURL, Name: c.Name, Version: c.Version, PURL: c.PURL,
			Licenses: []license{{c.License}}})
		on.On = append(on.On, c.PURL)
	}
	b.Dependencies = []depends{on}
	return json.MarshalIndent(b, "", " ")
}
