package pulumi

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"

	"nimbus/embedded/pulumi/bridge"
)

// loader answers with the embedded schema of our one package. It is bound
// lazily, once, and shared by all programs.
type loader struct {
	once sync.Once
	pkg  schema.PackageReference
	err  error
}

var _ schema.ReferenceLoader = (*loader)(nil)

// packages is the loader in pulumi-yaml's terms.
func (l *loader) packages() pulumiyaml.PackageLoader {
	return pulumiyaml.NewPackageLoaderFromSchemaLoader(l)
}

func (l *loader) load() (schema.PackageReference, error) {
	l.once.Do(func() {
		data, err := bridge.Schema()
		if err != nil {
			l.err = err
			return
		}
		var spec schema.PartialPackageSpec
		if l.err = json.Unmarshal(data, &spec); l.err != nil {
			return
		}
		spec.Version = bridge.Version
		l.pkg, l.err = schema.ImportPartialSpec(spec, nil, l)
	})
	return l.pkg, l.err
}

// LoadPackageReferenceV2 gives our package and refuses every other.
func (l *loader) LoadPackageReferenceV2(_ context.Context, d *schema.PackageDescriptor) (schema.PackageReference, error) {
	if d.Name == "pulumi" {
		return schema.DefaultPulumiPackage.Reference(), nil
	}
	if d.Name != bridge.Name || d.Parameterization != nil {
		return nil, fmt.Errorf("package %q: %w", d.Name, errNoPackage)
	}
	return l.load()
}

// LoadPackageReference is the older form of LoadPackageReferenceV2.
func (l *loader) LoadPackageReference(pkg string, v *semver.Version) (schema.PackageReference, error) {
	return l.LoadPackageReferenceV2(context.Background(), &schema.PackageDescriptor{Name: pkg, Version: v})
}

// LoadPackageV2 gives the whole package.
func (l *loader) LoadPackageV2(ctx context.Context, d *schema.PackageDescriptor) (*schema.Package, error) {
	ref, err := l.LoadPackageReferenceV2(ctx, d)
	if err != nil {
		return nil, err
	}
	return ref.Definition()
}

// LoadPackage is the older form of LoadPackageV2.
func (l *loader) LoadPackage(pkg string, v *semver.Version) (*schema.Package, error) {
	return l.LoadPackageV2(context.Background(), &schema.PackageDescriptor{Name: pkg, Version: v})
}

// Schema is what an editor needs to complete and check a program.
type Schema struct {
	Version   string              `json:"version"`
	Resources []ResourceType      `json:"resources"` // by Type
	Types     map[string][]Member `json:"types"`     // objects that members refer to
}

// ResourceType is one type of resource.
type ResourceType struct {
	Type        string   `json:"type"`
	Description string   `json:"description,omitempty"`
	Inputs      []Member `json:"inputs"`
}

// Member is a property. Type is "string", "integer", "number", "boolean", "any",
// a key of Schema.Types, or one of those in "list<…>" or "map<…>".
type Member struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	Required    bool   `json:"required,omitempty"`
	Secret      bool   `json:"secret,omitempty"`
	Deprecated  string `json:"deprecated,omitempty"`
}

var compactSchema = sync.OnceValues(buildSchema)

// EditorSchema returns the provider's schema in its compact form. The value is
// shared: do not change it.
func EditorSchema() (*Schema, error) { return compactSchema() }

func buildSchema() (*Schema, error) {
	data, err := bridge.Schema()
	if err != nil {
		return nil, err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("read the provider's schema: %w", err)
	}
	s := &Schema{Version: bridge.Version, Types: map[string][]Member{}}
	pending := []string{}
	for token, r := range spec.Resources {
		inputs := members(r.InputProperties, r.RequiredInputs, &pending)
		s.Resources = append(s.Resources, ResourceType{Type: token, Description: r.Description, Inputs: inputs})
	}
	sort.Slice(s.Resources, func(i, j int) bool { return s.Resources[i].Type < s.Resources[j].Type })
	for len(pending) > 0 {
		token := pending[0]
		pending = pending[1:]
		if _, seen := s.Types[token]; !seen {
			t := spec.Types[token]
			s.Types[token] = members(t.Properties, t.Required, &pending)
		}
	}
	return s, nil
}

// members lists properties by name and notes the object types they refer to.
func members(props map[string]schema.PropertySpec, required []string, refs *[]string) []Member {
	must := map[string]bool{}
	for _, name := range required {
		must[name] = true
	}
	list := make([]Member, 0, len(props))
	for _, name := range sortedKeys(props) {
		p := props[name]
		list = append(list, Member{
			Name: name, Type: typeName(p.TypeSpec, refs), Description: p.Description,
			Required: must[name], Secret: p.Secret, Deprecated: p.DeprecationMessage,
		})
	}
	return list
}

func typeName(t schema.TypeSpec, refs *[]string) string {
	switch {
	case t.Ref != "":
		token, ok := strings.CutPrefix(t.Ref, "#/types/")
		if !ok {
			return "any"
		}
		*refs = append(*refs, token)
		return token
	case t.Type == "array" && t.Items != nil:
		return "list<" + typeName(*t.Items, refs) + ">"
	case t.Type == "object" && t.AdditionalProperties != nil:
		return "map<" + typeName(*t.AdditionalProperties, refs) + ">"
	case t.Type == "":
		return "any"
	}
	return t.Type
}
