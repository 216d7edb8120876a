package pulumi

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml"
	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml/ast"
	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml/syntax"
	"go.yaml.in/yaml/v3"

	"nimbus/embedded/pulumi/bridge"
)

const (
	maxProgram = 512 << 10 // bytes
	maxNodes   = 50_000    // of the document, aliases followed
)

// Severity of a Diagnostic.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityInfo    = "info"
)

// Diagnostic is a remark on a program (with Line and Column, from 1) or of the
// engine (with the resource it is about).
type Diagnostic struct {
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
	EndLine  int    `json:"endLine,omitempty"`
	EndCol   int    `json:"endColumn,omitempty"`
	URN      string `json:"urn,omitempty"`
}

// Validate checks a program without running it: its form, its types against the
// provider's schema, and that it asks for nothing a tenant's program may not
// have. No diagnostics mean that it can be previewed.
func (e *Engine) Validate(program []byte) []Diagnostic {
	_, diags := e.parse(program)
	return diags
}

// parse gives the checked template, or diagnostics with an error among them.
func (e *Engine) parse(program []byte) (template *ast.TemplateDecl, diags []Diagnostic) {
	defer func() {
		if r := recover(); r != nil {
			template, diags = nil, []Diagnostic{fault(nil, fmt.Sprintf("the program cannot be read: %v", r))}
		}
	}()
	if diags := checkDocument(program); len(diags) > 0 {
		return nil, diags
	}
	t, loaded, err := pulumiyaml.LoadYAMLBytes("program", program)
	if err != nil {
		return nil, []Diagnostic{fault(nil, err.Error())}
	}
	diags = fromYAML(loaded)
	if hasErrors(diags) {
		return nil, diags
	}
	checked, loaded, err := pulumiyaml.LoadYAMLBytes("program", program) // type checking writes into the template
	if err != nil || loaded.HasErrors() {
		return nil, append(diags, fromYAML(loaded)...)
	}
	_, typed, err := pulumiyaml.PrepareTemplate(checked, nil, e.docs.packages())
	if err != nil {
		return nil, append(diags, fault(nil, err.Error()))
	}
	return t, append(diags, fromYAML(typed)...)
}

// Keys, in lower case, whose effect would be to read files, other stacks or the network of the appliance.
var deniedKeys = map[string]string{
	"fn::readfile":         "a program cannot read the appliance's files",
	"fn::filebase64":       "a program cannot read the appliance's files",
	"fn::filebase64sha256": "a program cannot read the appliance's files",
	"fn::fileasset":        "a program cannot read the appliance's files; use fn::stringAsset",
	"fn::filearchive":      "a program cannot read the appliance's files",
	"fn::remoteasset":      "a program cannot make the appliance fetch an address",
	"fn::remotearchive":    "a program cannot make the appliance fetch an address",
	"fn::assetarchive":     "a program cannot read the appliance's files",
	"fn::stackreference":   "a program cannot read another stack; pass the value as configuration",
	"sourcefile":           "a program cannot read the appliance's files; use sourceRaw, or proxmoxve:download/file:File to have the node fetch an address",
	"plugindownloadurl":    "nothing is downloaded; leave pluginDownloadURL out",
	"defaultprovider":      "the connection's provider is used; leave defaultProvider out",
}

var topLevel = map[string]bool{
	"name": true, "description": true, "runtime": true, "config": true, "configuration": true,
	"variables": true, "resources": true, "outputs": true, "author": true, "license": true, "website": true,
}

// checkDocument is the part of Validate that is about what a program may ask
// for. It looks at the YAML itself, so that no form of writing gets around it.
func checkDocument(program []byte) []Diagnostic {
	if len(program) > maxProgram {
		return []Diagnostic{fault(nil, fmt.Sprintf("the program is larger than %d KiB; split it into several stacks", maxProgram>>10))}
	}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(program))
	if err := dec.Decode(&doc); err != nil {
		return []Diagnostic{fault(nil, "the program is not YAML: "+err.Error())}
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return []Diagnostic{fault(&doc, "the program has to be a mapping with resources, variables and outputs")}
	}
	c := &checker{names: map[string]bool{"pulumi": true}}
	c.top(doc.Content[0])
	c.walk(doc.Content[0])
	return c.diags
}

type checker struct {
	diags []Diagnostic
	nodes int
	names map[string]bool // that an expression may refer to
}

func (c *checker) top(root *yaml.Node) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if !topLevel[key.Value] {
			c.add(key, fmt.Sprintf("%q is not available in a program here; leave it out", key.Value))
		}
		switch key.Value {
		case "config", "configuration", "variables", "resources":
			c.declare(value)
		case "outputs":
			defer c.references(value)
		}
		if key.Value == "resources" && value.Kind == yaml.MappingNode {
			c.resources(value)
		}
	}
}

func (c *checker) declare(m *yaml.Node) {
	for i := 0; m.Kind == yaml.MappingNode && i < len(m.Content); i += 2 {
		name := m.Content[i].Value
		c.names[name[strings.LastIndex(name, ":")+1:]] = true
	}
}

// reference finds what an interpolation refers to; "$${" is an escaped one.
var reference = regexp.MustCompile(`(\$?)\$\{([A-Za-z_][A-Za-z0-9_-]*)`)

// references checks the names in outputs, which pulumi-yaml looks at only when
// it runs them: after everything has been created.
func (c *checker) references(n *yaml.Node) {
	for _, m := range reference.FindAllStringSubmatch(n.Value, -1) {
		if m[1] == "" && !c.names[m[2]] {
			c.add(n, fmt.Sprintf("%q is neither a resource nor a variable nor a configuration value", m[2]))
		}
	}
	for _, child := range n.Content {
		c.references(child)
	}
}

// resources allows only our package's types, whose credentials come from the
// connection: a provider of the program's own could send them elsewhere.
func (c *checker) resources(m *yaml.Node) {
	for i := 1; i < len(m.Content); i += 2 {
		body := m.Content[i]
		if body.Kind == yaml.AliasNode {
			body = body.Alias
		}
		for j := 0; body.Kind == yaml.MappingNode && j+1 < len(body.Content); j += 2 {
			key, value := body.Content[j], body.Content[j+1]
			switch key.Value {
			case "<<":
				c.add(key, "merge keys are not available in a resource; write the properties out")
			case "type":
				if !strings.HasPrefix(value.Value, bridge.Name+":") {
					c.add(value, fmt.Sprintf("resources of type %q are not available; use the types of %s", value.Value, bridge.Name))
				}
			case "get", "import":
				c.add(key, "a program cannot take in what it did not create; leave "+key.Value+" out")
			case "options":
				c.options(value)
			case "properties":
				if value.Kind == yaml.ScalarNode && value.Tag != "!!null" {
					c.add(value, "properties have to be written as a mapping")
				}
			}
		}
	}
}

// options refuses the import of existing resources: the program would own them,
// and destroy them in the end.
func (c *checker) options(m *yaml.Node) {
	if m.Kind == yaml.AliasNode {
		m = m.Alias
	}
	for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
		switch key := m.Content[i]; key.Value {
		case "import", "<<":
			c.add(key, "a program cannot take in what it did not create; leave "+key.Value+" out")
		}
	}
}

func (c *checker) walk(n *yaml.Node) {
	if c.nodes++; c.nodes > maxNodes {
		if c.nodes == maxNodes+1 {
			c.add(n, "the program is too large; split it into several stacks")
		}
		return
	}
	if n.Kind == yaml.AliasNode {
		c.walk(n.Alias)
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if why := deniedKeys[strings.ToLower(child.Value)]; why != "" {
				c.add(child, why)
			}
		}
		c.walk(child)
	}
}

func (c *checker) add(n *yaml.Node, message string) {
	if len(c.diags) < 50 {
		c.diags = append(c.diags, fault(n, message))
	}
}

func fault(n *yaml.Node, message string) Diagnostic {
	d := Diagnostic{Severity: SeverityError, Message: message}
	if n != nil {
		d.Line, d.Column = n.Line, n.Column
		d.EndLine, d.EndCol = n.Line, n.Column+len(n.Value)
	}
	return d
}

func fromYAML(in syntax.Diagnostics) []Diagnostic {
	out := make([]Diagnostic, 0, len(in))
	for _, d := range in {
		o := Diagnostic{Severity: SeverityError, Message: d.Summary}
		if d.Severity == hcl.DiagWarning {
			o.Severity = SeverityWarning
		}
		if d.Detail != "" {
			o.Message += "; " + d.Detail
		}
		if s := d.Subject; s != nil {
			o.Line, o.Column, o.EndLine, o.EndCol = s.Start.Line, s.Start.Column, s.End.Line, s.End.Column
		}
		out = append(out, o)
	}
	return out
}

func hasErrors(diags []Diagnostic) bool {
	for _, d := range diags {
		if d.Severity == SeverityError {
			return true
		}
	}
	return false
}

// join puts errors in one line.
func join(diags []Diagnostic) string {
	var parts []string
	for _, d := range diags {
		if d.Severity != SeverityError {
			continue
		}
		text := d.Message
		if d.Line > 0 {
			text = fmt.Sprintf("line %d: %s", d.Line, text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
