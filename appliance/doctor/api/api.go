// Package api is the HTTP side of examining the appliance.
package api

import (
	"context"
	"net/http"
	"time"

	"nimbus/appliance/doctor"
	"nimbus/appliance/web"
)

const tag = "System"

// Register declares the routes.
func Register(a *web.API, s *doctor.Service) {
	h := handlers{s}
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/system/doctor", Tag: tag,
		Summary: "What is wrong with the appliance, and what to do", Permission: doctor.ReadDoctor,
		Description: "An examination that is older than five minutes is made again."}, h.report)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/system/doctor/run", Tag: tag,
		Summary: "Examine the appliance now", Permission: doctor.ReadDoctor, Status: http.StatusOK}, h.run)
	web.HandleDownload(a, web.Route{Method: http.MethodPost, Path: "/v1/system/support-bundle", Tag: tag,
		Summary: "Make a support bundle, without secrets", Permission: doctor.CreateSupport}, h.bundle)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/system/workflows", Tag: tag,
		Summary: "List workflows, newest first", Permission: doctor.ReadWorkflows}, h.workflows)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/system/workflows/{id}", Tag: tag,
		Summary: "Show what a workflow waits for", Permission: doctor.ReadWorkflows}, h.workflow)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/system/schedules", Tag: tag,
		Summary: "List what runs by itself", Permission: doctor.ReadWorkflows}, h.schedules)
	for action, summary := range map[doctor.ScheduleAction]string{
		doctor.PauseSchedule: "Pause a schedule", doctor.ResumeSchedule: "Resume a schedule", doctor.TriggerSchedule: "Run a schedule now",
	} {
		web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/system/schedules/{id}/" + string(action), Tag: tag,
			Summary: summary, Permission: doctor.UpdateWorkflows, Status: http.StatusNoContent},
			func(ctx context.Context, in *scheduleInput) (web.None, error) {
				return web.None{}, s.ChangeSchedule(ctx, in.ID, action)
			})
	}
}

type handlers struct{ *doctor.Service }

func (h handlers) report(ctx context.Context, _ *web.None) (doctor.Report, error) {
	return h.Report(ctx)
}

func (h handlers) run(ctx context.Context, _ *web.None) (doctor.Report, error) { return h.Run(ctx) }

func (h handlers) bundle(ctx context.Context, _ *web.None) (web.Download, error) {
	write, err := h.Bundle(ctx)
	return web.Download{
		ContentType: "application/gzip", Filename: "nimbus-support-" + time.Now().UTC().Format("20060102T150405") + ".tar.gz", Write: write,
	}, err
}

type workflowsInput struct {
	Status string `query:"status" maxLength:"30" doc:"Only those in this status."`
	Type   string `query:"type" maxLength:"100" doc:"Only those of this type."`
	Cursor string `query:"cursor" maxLength:"4000" doc:"What an earlier page called next."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (h handlers) workflows(ctx context.Context, in *workflowsInput) (doctor.WorkflowPage, error) {
	return h.Workflows(ctx, doctor.WorkflowFilter{Status: in.Status, Type: in.Type, Cursor: in.Cursor, Limit: in.Limit})
}

type workflowInput struct {
	ID string `path:"id" maxLength:"300"`
}

func (h handlers) workflow(ctx context.Context, in *workflowInput) (doctor.WorkflowDetail, error) {
	return h.Workflow(ctx, in.ID)
}

type schedules struct {
	Items []doctor.Scheduled `json:"items" nullable:"false"`
}

func (h handlers) schedules(ctx context.Context, _ *web.None) (schedules, error) {
	all, err := h.Schedules(ctx)
	return schedules{Items: all}, err
}

type scheduleInput struct {
	ID string `path:"id" maxLength:"300"`
}
