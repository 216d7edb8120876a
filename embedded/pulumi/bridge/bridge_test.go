package bridge

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func packageSpec(t *testing.T) schema.PackageSpec {
	t.Helper()
	data, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// public is what the public package, version 8.6.0, has: every token, and the
// inputs of the resources that programs mostly use.
type public struct {
	Resources, Functions []string
	Inputs               map[string][]string
}

func readPublic(t *testing.T) public {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "public-8.6.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p public
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// Properties of newer upstream releases than the one bridged here.
var newer = map[string][]string{"proxmoxve:backup/job:Job": {"excludes"}}

func TestSameTokensAsThePublicPackage(t *testing.T) {
	t.Parallel()
	spec, want := packageSpec(t), readPublic(t)
	for _, token := range want.Resources {
		if _, ok := spec.Resources[token]; !ok {
			t.Errorf("resource %s is missing", token)
		}
	}
	for token := range spec.Resources {
		if !slices.Contains(want.Resources, token) {
			t.Errorf("resource %s is not in the public package", token)
		}
	}
	for _, token := range want.Functions {
		if _, ok := spec.Functions[token]; !ok {
			t.Errorf("function %s is missing", token)
		}
	}
}

func TestSamePropertiesAsThePublicPackage(t *testing.T) {
	t.Parallel()
	spec, want := packageSpec(t), readPublic(t)
	for token, inputs := range want.Inputs {
		ours := spec.Resources[token].InputProperties
		for _, name := range inputs {
			if _, ok := ours[name]; !ok && !slices.Contains(newer[token], name) {
				t.Errorf("%s has no input %s", token, name)
			}
		}
		for name := range ours {
			if !slices.Contains(inputs, name) {
				t.Errorf("%s has an input %s that the public package does not have", token, name)
			}
		}
	}
}

func TestEveryResourceWithARenamedIDComputesIt(t *testing.T) {
	t.Parallel()
	info := Info(context.Background(), []byte("{}"))
	renamed := map[string]bool{}
	for name, r := range info.Resources {
		id := r.Fields["id"]
		if id == nil {
			continue
		}
		renamed[name] = true
		checkID(t, name, r, id.Name)
	}
	for _, name := range []string{"proxmox_vm", "proxmox_cloned_vm", "proxmox_storage_nfs", "proxmox_sdn_vnet"} {
		if !renamed[name] {
			t.Errorf("the id of %s is not renamed", name)
		}
	}
}

func checkID(t *testing.T, name string, r *tfbridge.ResourceInfo, property string) {
	t.Helper()
	key := resource.PropertyKey(property)
	for want, value := range map[resource.ID]resource.PropertyValue{
		"zone1": resource.NewProperty("zone1"),
		"104":   resource.NewProperty(104.0),
		"s":     resource.MakeSecret(resource.NewProperty("s")),
	} {
		got, err := r.ComputeID(context.Background(), resource.PropertyMap{key: value})
		if err != nil || got != want {
			t.Errorf("%s: id of %v is %q, %v; want %q", name, value, got, err, want)
		}
	}
	if _, err := r.ComputeID(context.Background(), resource.PropertyMap{"id": resource.NewProperty("x")}); err == nil {
		t.Errorf("%s: an id is made up when %s is missing", name, property)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"proxmox_virtual_environment_vm":            "index/vmLegacy",
		"proxmox_virtual_environment_sdn_zone_vlan": "sdn/zone/vlanLegacy",
		"proxmox_virtual_environment_download_file": "download/fileLegacy",
		"proxmox_vm":                                 "index/vm",
		"proxmox_hardware_mapping_pci":               "hardware/mapping/pci",
		"proxmox_virtual_environment_cluster_option": "cluster/optionLegacy",
	} {
		module, member := token(name)
		if got := module + "/" + member; got != want {
			t.Errorf("token(%s) = %s, want %s", name, got, want)
		}
	}
}
