// Package api is the HTTP side of connections, power actions and tasks.
package api

import (
	"context"
	"net/http"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
	"nimbus/appliance/web"
)

// Register declares the routes of connections, power actions and tasks.
func Register(a *web.API, s *provider.Service) {
	h := handlers{s}
	connections(a, h)
	tasks(a, h)
}

func connections(a *web.API, h handlers) {
	const tag = "Connections"
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/connections", Tag: tag,
		Permission: provider.ReadConnections, Summary: "List the connected clusters"}, h.list)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/connections", Tag: tag, Status: http.StatusCreated,
		Permission: provider.CreateConnection, Summary: "Connect a cluster"}, h.create)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/connections/test", Tag: tag,
		Permission: provider.TestConnection, Summary: "Try a connection without storing it",
		Description: "The one operation that asks the cluster while somebody waits, for at most 15 seconds."}, h.test)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/connections/commands", Tag: tag,
		Permission: provider.CreateConnection, Summary: "The lines that make a token on a node"}, h.commands)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/connections/{id}", Tag: tag,
		Permission: provider.ReadConnections, Summary: "Read a connection"}, h.get)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/connections/{id}", Tag: tag,
		Permission: provider.DeleteConnection, Summary: "Disconnect a cluster, which is not touched"}, h.delete)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/connections/{id}/collect", Tag: tag, Status: http.StatusAccepted,
		Permission: provider.CollectConnection, Summary: "Collect the inventory now"}, h.collect)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/connections/{id}/fingerprint", Tag: tag,
		Permission: provider.UpdateConnection, Summary: "Accept the certificate that the cluster shows now"}, h.accept)
}

func tasks(a *web.API, h handlers) {
	const tag = "Tasks"
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/inventory/{id}/power", Tag: "Inventory", Status: http.StatusAccepted,
		Permission: provider.PowerMachine, Summary: "Switch a machine",
		Description: "Checked as " + provider.PowerVM + " or " + provider.PowerContainer + "."}, h.power)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/tasks", Tag: tag,
		Permission: provider.ReadTasks, Summary: "List tasks, newest first"}, h.tasks)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/tasks/{id}", Tag: tag,
		Permission: provider.ReadTasks, Summary: "Read a task"}, h.task)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/tasks/{id}/log", Tag: tag,
		Permission: provider.ReadTasks, Summary: "Read the end of a task's log"}, h.log)
}

type handlers struct{ provider *provider.Service }

type commandLines struct {
	Lines []string `json:"lines"`
}

// commands is the same for everybody: what to type, no secret.
func (h handlers) commands(context.Context, *struct{}) (commandLines, error) {
	return commandLines{Lines: proxmox.Commands("nimbus")}, nil
}

type list[T any] struct {
	Items []T     `json:"items"`
	Next  *string `json:"next"`
}

func (h handlers) list(ctx context.Context, _ *struct{}) (list[provider.Connection], error) {
	items, err := h.provider.Connections(ctx)
	return list[provider.Connection]{Items: items}, err
}

type connectionInput struct {
	Body struct {
		Name        string `json:"name" required:"false" maxLength:"100" doc:"Needed to store it, not to test it."`
		URL         string `json:"url" maxLength:"300" example:"https://pve.example:8006"`
		TokenID     string `json:"token_id" maxLength:"200" example:"nimbus@pve!nimbus"`
		TokenSecret string `json:"token_secret" maxLength:"200" writeOnly:"true"`
		Fingerprint string `json:"fingerprint,omitempty" maxLength:"100" doc:"SHA-256 of the certificate, to pin it."`
		CAPEM       string `json:"ca_pem,omitempty" maxLength:"100000" doc:"Authorities that may have issued the certificate."`
	}
}

func (in *connectionInput) connection() provider.NewConnection {
	b := in.Body
	return provider.NewConnection{Name: b.Name, URL: b.URL, TokenID: b.TokenID, Secret: b.TokenSecret, Fingerprint: b.Fingerprint, CAPEM: b.CAPEM}
}

func (h handlers) create(ctx context.Context, in *connectionInput) (provider.Connection, error) {
	return h.provider.Create(ctx, in.connection())
}

func (h handlers) test(ctx context.Context, in *connectionInput) (provider.TestResult, error) {
	return h.provider.Test(ctx, in.connection())
}

type idInput struct {
	ID string `path:"id"`
}

// parse reads an id of the path; what is none names nothing.
func parse(text, what string) (id.ID, error) {
	parsed, err := id.Parse(text)
	if err != nil {
		return parsed, fault.New(fault.NotFound, "There is no such %s.", what)
	}
	return parsed, nil
}

func (h handlers) get(ctx context.Context, in *idInput) (provider.Connection, error) {
	connection, err := parse(in.ID, "connection")
	if err != nil {
		return provider.Connection{}, err
	}
	return h.provider.Connection(ctx, connection)
}

func (h handlers) delete(ctx context.Context, in *idInput) (web.None, error) {
	connection, err := parse(in.ID, "connection")
	if err != nil {
		return web.None{}, err
	}
	return web.None{}, h.provider.Delete(ctx, connection)
}

func (h handlers) collect(ctx context.Context, in *idInput) (web.None, error) {
	connection, err := parse(in.ID, "connection")
	if err != nil {
		return web.None{}, err
	}
	return web.None{}, h.provider.CollectNow(ctx, connection)
}

type fingerprintInput struct {
	ID   string `path:"id"`
	Body struct {
		Fingerprint string `json:"fingerprint" minLength:"1" maxLength:"100" doc:"As in offered_fingerprint."`
	}
}

func (h handlers) accept(ctx context.Context, in *fingerprintInput) (provider.Connection, error) {
	connection, err := parse(in.ID, "connection")
	if err != nil {
		return provider.Connection{}, err
	}
	return h.provider.AcceptFingerprint(ctx, connection, in.Body.Fingerprint)
}

type powerInput struct {
	ID   string `path:"id"`
	Body struct {
		Action string `json:"action" enum:"start,stop,shutdown,reboot,suspend,resume"`
	}
}

func (h handlers) power(ctx context.Context, in *powerInput) (provider.Task, error) {
	item, err := parse(in.ID, "item")
	if err != nil {
		return provider.Task{}, err
	}
	return h.provider.Power(ctx, item, provider.PowerAction(in.Body.Action))
}

type tasksInput struct {
	ItemID string `query:"item_id" doc:"Only tasks of this item."`
	Cursor string `query:"cursor" maxLength:"100"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (h handlers) tasks(ctx context.Context, in *tasksInput) (provider.TaskPage, error) {
	var item id.ID
	if err := item.UnmarshalText([]byte(in.ItemID)); err != nil {
		return provider.TaskPage{}, fault.BadField("query.item_id", "This is not an id.")
	}
	return h.provider.Tasks(ctx, item, in.Cursor, in.Limit)
}

func (h handlers) task(ctx context.Context, in *idInput) (provider.Task, error) {
	task, err := parse(in.ID, "task")
	if err != nil {
		return provider.Task{}, err
	}
	return h.provider.Task(ctx, task)
}

type taskLog struct {
	Lines []string `json:"lines"`
}

func (h handlers) log(ctx context.Context, in *idInput) (taskLog, error) {
	task, err := parse(in.ID, "task")
	if err != nil {
		return taskLog{}, err
	}
	lines, err := h.provider.TaskLog(ctx, task)
	return taskLog{Lines: lines}, err
}
