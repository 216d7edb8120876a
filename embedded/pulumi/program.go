package pulumi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml"
	"github.com/pulumi/pulumi-yaml/pkg/pulumiyaml/ast"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"nimbus/embedded/pulumi/bridge"
)

const maxMessage = 64 << 20 // bytes in one message of the engine

// program is the language host for one operation: the CLI connects to it (as
// the Automation API does for inline programs) and asks it to run the YAML
// document. It listens on a socket in a directory of mode 0700, because what it
// is asked to run holds secrets.
type program struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	template *ast.TemplateDecl
	config   map[string]string // project:key → text
	secret   []string          // the secret keys of config
	values   resource.PropertyMap
	docs     *loader
	server   *grpc.Server
	dir      string // of the socket
	address  string

	mu    sync.Mutex
	diags []Diagnostic
}

// serveProgram parses and checks the document and serves it until close.
func (e *Engine) serveProgram(r *Run) (*program, error) {
	template, diags := e.parse(r.Program)
	if hasErrors(diags) {
		return nil, &Error{Op: "program", Kind: ErrProgram, Message: join(diags)}
	}
	if err := adapt(template, r.Tags); err != nil {
		return nil, err
	}
	p := &program{template: template, docs: e.docs, diags: diags}
	if err := p.setConfig(r); err != nil {
		return nil, err
	}
	listener, err := p.listen(e.socketPrefix())
	if err != nil {
		return nil, fmt.Errorf("serve the program: %w", err)
	}
	p.server = grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.WaitForHandlers(true))
	pulumirpc.RegisterLanguageRuntimeServer(p.server, p)
	go func() { _ = p.server.Serve(listener) }() // ends with Stop, which reports nothing of use
	return p, nil
}

// listen opens a socket in a directory of its own. It lies in the system's
// temporary directory because a socket's path may not be long.
func (p *program) listen(prefix string) (net.Listener, error) {
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "program"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	p.dir, p.address = dir, "unix://"+listener.Addr().String()
	return listener, nil
}

// setConfig prepares the configuration in the two forms that pulumi-yaml reads:
// text for declared values, property values for the others.
func (p *program) setConfig(r *Run) error {
	p.config, p.values = map[string]string{}, resource.PropertyMap{}
	for _, key := range sortedKeys(r.Config) {
		v := r.Config[key]
		text, err := v.text()
		if err != nil {
			return fmt.Errorf("configuration value %q: %w", key, err)
		}
		full := r.Project + ":" + key
		value := resource.NewPropertyValue(plain(v.Value))
		if v.Secret {
			p.secret = append(p.secret, full)
			value = resource.MakeSecret(value)
		}
		p.config[full] = text
		p.values[resource.PropertyKey(full)] = value
	}
	return nil
}

// plain brings a Go value to the shapes that JSON decoding gives.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(data, &out) != nil {
		return v
	}
	return out
}

// close ends the server and waits for what it does. A nil program has none.
func (p *program) close() {
	if p == nil {
		return
	}
	p.server.Stop()
	_ = os.RemoveAll(p.dir) // an empty directory of 60 bytes that a reboot removes too
}

// diagnostics are those collected so far; a nil program has none.
func (p *program) diagnostics() []Diagnostic {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Diagnostic(nil), p.diags...)
}

// Run evaluates the document against the engine that asks.
func (p *program) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	info := pulumi.RunInfo{
		MonitorAddr:      req.GetMonitorAddress(),
		Config:           p.config,
		ConfigSecretKeys: p.secret,
		Project:          req.GetProject(),
		Stack:            req.GetStack(),
		Parallel:         req.GetParallel(),
		DryRun:           req.GetDryRun(),
		Organization:     req.GetOrganization(),
	}
	if len(req.Args) > 0 {
		info.EngineAddr = req.Args[0]
	}
	pctx, err := pulumi.NewContext(ctx, info)
	if err != nil {
		return &pulumirpc.RunResponse{Error: err.Error()}, nil
	}
	defer pctx.Close()
	if err := p.evaluate(pctx); err != nil {
		return p.failed(err), nil
	}
	return &pulumirpc.RunResponse{}, nil
}

// evaluate turns a panic of the interpreter into an error: the program is
// somebody's input, the process is the appliance.
func (p *program) evaluate(ctx *pulumi.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the program cannot be evaluated: %v", r)
		}
	}()
	return pulumi.RunWithContext(ctx, func(ctx *pulumi.Context) error {
		return pulumiyaml.RunTemplate(ctx, p.template, p.values, p.docs.packages())
	})
}

// failed keeps the diagnostics with their places for the Result; the engine is
// told only what it does not know yet.
func (p *program) failed(err error) *pulumirpc.RunResponse {
	diags, ok := pulumiyaml.HasDiagnostics(err)
	if !ok {
		return &pulumirpc.RunResponse{Error: err.Error()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.diags = append(p.diags, fromYAML(diags)...)
	return &pulumirpc.RunResponse{Bail: true}
}

// GetRequiredPackages names our provider at our version, so that the engine
// never looks for another.
func (p *program) GetRequiredPackages(context.Context, *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{Packages: []*pulumirpc.PackageDependency{
		{Name: bridge.Name, Kind: "resource", Version: "v" + bridge.Version},
	}}, nil
}

// GetPluginInfo answers for the protocol's sake.
func (p *program) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: bridge.Version}, nil
}

// InstallDependencies has nothing to install.
func (p *program) InstallDependencies(*pulumirpc.InstallDependenciesRequest,
	pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	return nil
}

var errNoPackage = errors.New("only the package " + bridge.Name + " is available; nothing is downloaded")
