package pulumi

import (
	"strings"
	"testing"
)

const validProgram = `name: demo
runtime: yaml
config:
  memory: {type: integer, default: 1024}
resources:
  web:
    type: proxmoxve:index/vmLegacy:VmLegacy
    properties:
      nodeName: pve1
      vmId: 101
      memory: {dedicated: "${memory}"}
outputs:
  id: ${web.vmId}
`

func validate(program string) []Diagnostic {
	return New(Config{}).Validate([]byte(program))
}

func TestValidateAcceptsAProgram(t *testing.T) {
	t.Parallel()
	if diags := validate(validProgram); len(diags) != 0 {
		t.Fatalf("diagnostics of a valid program: %+v", diags)
	}
}

func TestValidateSaysWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program, message string
		line             int
	}{
		"not YAML":          {"a: [", "not YAML", 0},
		"not a mapping":     {"- a\n", "has to be a mapping", 1},
		"unknown type":      {strings.Replace(validProgram, "vmLegacy:VmLegacy", "vmm:Vmm", 1), "vmm", 7},
		"unknown property":  {strings.Replace(validProgram, "vmId:", "vmID:", 1), "vmID", 10},
		"unknown variable":  {strings.Replace(validProgram, "${memory}", "${mem}", 1), "mem", 11},
		"another package":   {strings.Replace(validProgram, "proxmoxve:index/vmLegacy:VmLegacy", "aws:s3:Bucket", 1), "not available", 7},
		"wrong type":        {strings.Replace(validProgram, "vmId: 101", "vmId: [a]", 1), "vmId", 10},
		"missing reference": {strings.Replace(validProgram, "${web.vmId}", "${nobody.vmId}", 1), "nobody", 13},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			diags := validate(c.program)
			if !hasErrors(diags) {
				t.Fatalf("no error; diagnostics %+v", diags)
			}
			for _, d := range diags {
				if strings.Contains(d.Message, c.message) && d.Line == c.line {
					return
				}
			}
			t.Errorf("no diagnostic with %q in line %d: %+v", c.message, c.line, diags)
		})
	}
}

// A tenant's program runs in the appliance and with the connection's
// credentials: it must reach neither files, nor other stacks, nor the network.
func TestRobustness40ProgramsCannotReachTheAppliance(t *testing.T) {
	t.Parallel()
	outputs := func(expr string) string { return validProgram + "  x: " + expr + "\n" }
	for name, program := range map[string]string{
		"readFile":        outputs("{fn::readFile: /etc/passwd}"),
		"readFile upper":  outputs("{fn::READFILE: /etc/passwd}"),
		"fileAsset":       outputs("{fn::fileAsset: /etc/passwd}"),
		"filebase64":      outputs("{fn::filebase64: /etc/passwd}"),
		"remoteAsset":     outputs("{fn::remoteAsset: \"http://127.0.0.1/\"}"),
		"assetArchive":    outputs("{fn::assetArchive: {a: {fn::fileArchive: /etc}}}"),
		"nested":          outputs("{fn::toJSON: {a: [{fn::readFile: /etc/passwd}]}}"),
		"by alias":        "x-a: &a {fn::readFile: /etc/passwd}\n" + outputs("*a"),
		"stack reference": strings.Replace(validProgram, "proxmoxve:index/vmLegacy:VmLegacy", "pulumi:pulumi:StackReference", 1),
		"own provider":    strings.Replace(validProgram, "proxmoxve:index/vmLegacy:VmLegacy", "pulumi:providers:proxmoxve", 1),
		"download":        strings.Replace(validProgram, "    properties:", "    options: {pluginDownloadURL: \"http://example.org\"}\n    properties:", 1),
		"import":          strings.Replace(validProgram, "    properties:", "    options: {import: \"100\"}\n    properties:", 1),
		"get":             strings.Replace(validProgram, "    properties:", "    get: {id: \"100\"}\n    properties:", 1),
		"plugins":         validProgram + "plugins: {providers: [{name: x, path: /tmp}]}\n",
		"packages":        validProgram + "packages: {x: /tmp}\n",
		"components":      validProgram + "components: {}\n",
		"source file":     strings.Replace(validProgram, "nodeName: pve1", "nodeName: pve1\n      sourceFile: {path: /etc/passwd}", 1),
		"whole object":    "variables: {p: {a: b}}\nresources: {x: {type: \"proxmoxve:index/fileLegacy:FileLegacy\", properties: \"${p}\"}}\n",
		"merged type":     "variables: {p: &p {type: \"pulumi:providers:proxmoxve\"}}\nresources: {x: {<<: *p}}\n",
		"too large":       validProgram + "# " + strings.Repeat("x", maxProgram),
		"alias bomb":      bomb(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diags := validate(program); !hasErrors(diags) {
				t.Errorf("accepted; diagnostics %+v", diags)
			}
		})
	}
}

// bomb is a document whose aliases expand to a billion nodes.
func bomb() string {
	var b strings.Builder
	b.WriteString("variables:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		prev := "*a" + string(rune('0'+i-1))
		b.WriteString("  a" + string(rune('0'+i)) + ": &a" + string(rune('0'+i)) + " [" + strings.Repeat(prev+",", 9) + prev + "]\n")
	}
	return b.String()
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(validProgram))
	f.Add([]byte(bomb()))
	f.Add([]byte("a: &a [*a]"))
	e := New(Config{})
	f.Fuzz(func(t *testing.T, program []byte) {
		template, diags := e.parse(program)
		if template == nil && !hasErrors(diags) {
			t.Fatal("no template and no error")
		}
	})
}
