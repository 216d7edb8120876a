// Package bridge makes a Pulumi provider of bpg's Terraform provider for
// Proxmox VE: the same tokens and property names as the public Pulumi package
// proxmoxve, version 8, so that a program written here also runs with that one.
//
// The schema and the bridge's metadata are generated (make generate) and
// embedded compressed; nothing is downloaded or computed at run time.
package bridge

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // for the generated schema and metadata
	"fmt"
	"io"
	"strings"

	"github.com/bpg/terraform-provider-proxmox/fwprovider"
	"github.com/bpg/terraform-provider-proxmox/proxmoxtf/provider"
	pftfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

const (
	// Name is the Pulumi package's name and the first part of every token.
	Name = "proxmoxve"
	// Version is that of the public package whose tokens and properties we serve.
	Version = "8.6.0"
	// Upstream is the version of the Terraform provider inside.
	Upstream = "0.111.1"
)

// renamedID names the property that stands for an upstream "id"; the public
// package has one exception.
func renamedID(resource string) string {
	if resource == "proxmox_sdn_controller_evpn" {
		return "sdnControllerEvpnId"
	}
	return "resourceId"
}

//go:embed schema.json.gz
var schemaGz []byte

//go:embed metadata.json.gz
var metadataGz []byte

// Schema returns the Pulumi package schema as JSON.
func Schema() ([]byte, error) { return unpack(schemaGz) }

// Serve runs the provider on the plugin protocol until its host ends it.
// It reads os.Args and prints its port, as the Pulumi engine expects.
func Serve(ctx context.Context) error {
	schema, err := Schema()
	if err != nil {
		return err
	}
	metadata, err := unpack(metadataGz)
	if err != nil {
		return err
	}
	pftfbridge.MainWithMuxer(ctx, Name, Info(ctx, metadata), schema)
	return nil
}

// Info describes the bridged provider. metadata is what the generator wrote,
// or "{}" when there is none yet.
func Info(ctx context.Context, metadata []byte) tfbridge.ProviderInfo {
	p := pftfbridge.MuxShimWithPF(ctx,
		shimv2.NewProvider(provider.ProxmoxVirtualEnvironment()),
		fwprovider.New(Upstream)())
	license := tfbridge.MPL20LicenseType
	info := tfbridge.ProviderInfo{
		P:                 p,
		Name:              Name,
		DisplayName:       "Proxmox Virtual Environment",
		Description:       "Resources of Proxmox VE: machines, containers, storage, networks, access.",
		Keywords:          []string{"proxmox", "proxmoxve", "category/infrastructure"},
		License:           "Apache-2.0",
		Version:           Version,
		GitHubOrg:         "bpg",
		TFProviderLicense: &license,
		UpstreamRepoPath:  ".",
		ResourcePrefix:    "proxmox",
		MetadataInfo:      tfbridge.NewProviderMetadata(metadata),
		Resources:         map[string]*tfbridge.ResourceInfo{},
		DataSources:       map[string]*tfbridge.DataSourceInfo{},
	}
	addTokens(&info)
	return info
}

func addTokens(info *tfbridge.ProviderInfo) {
	isPF := func(string) bool { return false }
	if muxed, ok := info.P.(interface{ ResourceIsPF(token string) bool }); ok {
		isPF = muxed.ResourceIsPF
	}
	info.P.ResourcesMap().Range(func(name string, res shim.Resource) bool {
		module, member := token(name)
		r := &tfbridge.ResourceInfo{Tok: tokens.Type(join(module, member, upper(member)))}
		if isPF(name) {
			fixID(r, res, renamedID(name))
		}
		info.Resources[name] = r
		return true
	})
	info.P.DataSourcesMap().Range(func(name string, _ shim.Resource) bool {
		module, member := token(name)
		member = "get" + upper(member)
		info.DataSources[name] = &tfbridge.DataSourceInfo{Tok: tokens.ModuleMember(join(module, member, member))}
		return true
	})
}

// token splits a Terraform name into module and member by the public package's
// one rule: each underscore is a level, a single word goes to "index", and the
// older names (proxmox_virtual_environment_*) end in "Legacy".
func token(name string) (module, member string) {
	rest, legacy := strings.CutPrefix(name, "proxmox_virtual_environment_")
	if !legacy {
		rest = strings.TrimPrefix(name, "proxmox_")
	}
	parts := strings.Split(rest, "_")
	member = parts[len(parts)-1]
	if legacy {
		member += "Legacy"
	}
	if len(parts) == 1 {
		return "index", member
	}
	return strings.Join(parts[:len(parts)-1], "/"), member
}

func join(module, file, member string) string {
	return fmt.Sprintf("%s:%s/%s:%s", Name, module, file, member)
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// fixID renames an "id" that Pulumi cannot take as it is (an input, or not a
// string), and has the Pulumi ID computed from the renamed field.
func fixID(r *tfbridge.ResourceInfo, res shim.Resource, property string) {
	id, ok := res.Schema().GetOk("id")
	if !ok {
		r.ComputeID = tfbridge.MissingIDComputeID()
		return
	}
	input := id.Required() || id.Optional()
	if !input && id.Type() == shim.TypeString {
		return
	}
	r.Fields = map[string]*tfbridge.SchemaInfo{"id": {Name: property, Type: "string"}}
	r.ComputeID = idFrom(resource.PropertyKey(property))
}

// idFrom computes the Pulumi ID from a property. Reading "id" instead, which is
// not there any more, is what makes other builds of this bridge panic after
// creating the resource.
func idFrom(property resource.PropertyKey) tfbridge.ComputeID {
	return func(_ context.Context, state resource.PropertyMap) (resource.ID, error) {
		v := state[property]
		if v.IsSecret() {
			v = v.SecretValue().Element
		}
		switch {
		case v.IsString() && v.StringValue() != "":
			return resource.ID(v.StringValue()), nil
		case v.IsNumber():
			return resource.ID(fmt.Sprintf("%.0f", v.NumberValue())), nil
		}
		return "", fmt.Errorf("the provider returned no %s for the resource", property)
	}
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the embedded provider data: %w; run make generate", err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpack the embedded provider data: %w; run make generate", err)
	}
	return data, nil
}
