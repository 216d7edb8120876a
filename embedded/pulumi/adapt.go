package pulumi

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml/ast"

	"nimbus/embedded/pulumi/bridge"
)

const vmType = bridge.Name + ":index/vmLegacy:VmLegacy"

// guestTypes are the resources that make a machine or a container, with the
// property that holds its number.
var guestTypes = map[string]string{
	vmType:                       "vmId",
	bridge.Name + ":index/vm:Vm": "resourceId",
	bridge.Name + ":index/vm2Legacy:Vm2Legacy":             "resourceId",
	bridge.Name + ":cloned/vm:Vm":                          "resourceId",
	bridge.Name + ":cloned/vmLegacy:VmLegacy":              "resourceId",
	bridge.Name + ":index/containerLegacy:ContainerLegacy": "vmId",
}

// adapt changes a parsed program in the two points where a person's program
// cannot be right by itself: every guest gets the caller's tags, and the disk
// speeds that nobody set are not compared, because the provider reports them as
// zeros and would see a difference for ever.
func adapt(t *ast.TemplateDecl, tags []string) error {
	for i := range t.Resources.Entries {
		entry := &t.Resources.Entries[i]
		res := entry.Value
		if res == nil || res.Type == nil || guestTypes[canonical(res.Type.Value)] == "" {
			continue
		}
		if err := addTags(res, tags); err != nil {
			return fmt.Errorf("%w: resource %s: %w", ErrProgram, entry.Key.Value, err)
		}
		if canonical(res.Type.Value) == vmType {
			ignoreSpeeds(res)
		}
	}
	return nil
}

// canonical gives the full token of a type by the rules of Pulumi YAML:
// pkg:Member and pkg:mod:Member stand for pkg:mod/member:Member.
func canonical(token string) string {
	parts := strings.Split(token, ":")
	if len(parts) == 2 {
		parts = []string{parts[0], "index", parts[1]}
	}
	if len(parts) != 3 || parts[2] == "" {
		return token
	}
	file := strings.ToLower(parts[2][:1]) + parts[2][1:]
	if !strings.HasSuffix(parts[1], "/"+file) {
		parts[1] += "/" + file
	}
	return strings.Join(parts, ":")
}

func addTags(res *ast.ResourceDecl, tags []string) error {
	if len(tags) == 0 {
		return nil
	}
	props := res.Properties.PropertyMap
	if props == nil {
		return fmt.Errorf("write the properties as a mapping")
	}
	list := property(props, "tags")
	if list == nil {
		props.Entries = append(props.Entries, ast.PropertyMapEntry{Key: ast.String("tags"), Value: ast.List()})
		list = property(props, "tags")
	}
	known, ok := (*list).(*ast.ListExpr)
	if !ok {
		return fmt.Errorf("write tags as a list, so that the marks of this stack can be added")
	}
	all := ast.List(known.Elements...)
	for _, tag := range tags {
		if !contains(known, tag) {
			all.Elements = append(all.Elements, ast.String(tag))
		}
	}
	*list = all
	return nil
}

func property(props *ast.PropertyMapDecl, name string) *ast.Expr {
	for i := range props.Entries {
		if props.Entries[i].Key.Value == name {
			return &props.Entries[i].Value
		}
	}
	return nil
}

func contains(list *ast.ListExpr, text string) bool {
	for _, e := range list.Elements {
		if s, ok := e.(*ast.StringExpr); ok && s.Value == text {
			return true
		}
	}
	return false
}

func ignoreSpeeds(res *ast.ResourceDecl) {
	if res.Properties.PropertyMap == nil {
		return
	}
	if res.Options.IgnoreChanges == nil {
		res.Options.IgnoreChanges = &ast.StringListDecl{}
	}
	ignored := res.Options.IgnoreChanges
	for _, i := range withoutSpeed(property(res.Properties.PropertyMap, "disks")) {
		ignored.Elements = append(ignored.Elements, ast.String("disks["+strconv.Itoa(i)+"].speed"))
	}
}

// withoutSpeed lists the disks whose speed nobody set. Without disks the
// provider makes one.
func withoutSpeed(disks *ast.Expr) []int {
	if disks == nil {
		return []int{0}
	}
	list, ok := (*disks).(*ast.ListExpr)
	if !ok {
		return nil
	}
	var found []int
	for i, disk := range list.Elements {
		if object, ok := disk.(*ast.ObjectExpr); ok && !sets(object, "speed") {
			found = append(found, i)
		}
	}
	return found
}

func sets(object *ast.ObjectExpr, name string) bool {
	for _, e := range object.Entries {
		if key, ok := e.Key.(*ast.StringExpr); ok && key.Value == name {
			return true
		}
	}
	return false
}
