package deployment

import (
	"bytes"
	"context"
	"embed"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed templates/*.yaml
var templateFiles embed.FS

// Parameter is a value that a template asks for. It becomes a configuration
// value of the stack with the same name.
type Parameter struct {
	Name        string `json:"name" yaml:"name"`
	Title       string `json:"title" yaml:"title"`
	Type        string `json:"type" yaml:"type" enum:"string,integer,number,boolean"`
	Default     any    `json:"default" yaml:"default"`
	Required    bool   `json:"required" yaml:"required"`
	Description string `json:"description" yaml:"description"`
	Secret      bool   `json:"secret" yaml:"secret"`
}

// Template is a program to begin a stack with.
type Template struct {
	Name        string      `json:"name" yaml:"name"`
	Title       string      `json:"title" yaml:"title"`
	Description string      `json:"description" yaml:"description"`
	Program     string      `json:"program" yaml:"program"`
	Parameters  []Parameter `json:"parameters" yaml:"parameters"`
}

// Templates lists what is shipped, by file name.
func (s *Service) Templates(ctx context.Context) ([]Template, error) {
	if _, err := s.authorise(ctx, ReadStack); err != nil {
		return nil, err
	}
	return s.templates, nil
}

func readTemplates() ([]Template, error) {
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	all := make([]Template, 0, len(files))
	for _, f := range files {
		data, err := templateFiles.ReadFile("templates/" + f.Name())
		if err != nil {
			return nil, err
		}
		var t Template
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		if err := d.Decode(&t); err != nil {
			return nil, fmt.Errorf("template %s: %w", f.Name(), err)
		}
		all = append(all, t)
	}
	return all, nil
}
