// Package cloudwatchlogs stands in for the AWS client of that name, see ../README.md.
package cloudwatchlogs

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// Client answers every call with errors.ErrUnsupported.
type Client struct{}

// Options has no fields.
type Options struct{}

// FilterLogEventsInput says which lines of a log group are wanted.
type FilterLogEventsInput struct {
	LogGroupName       *string
	StartTime, EndTime *int64
}

// FilterLogEventsOutput is never returned.
type FilterLogEventsOutput struct{ Events []types.FilteredLogEvent }

// FilterLogEventsPaginator has no pages.
type FilterLogEventsPaginator struct{}

// NewFromConfig returns a client.
func NewFromConfig(aws.Config, ...func(*Options)) *Client { return &Client{} }

// NewFilterLogEventsPaginator returns a paginator.
func NewFilterLogEventsPaginator(*Client, *FilterLogEventsInput) *FilterLogEventsPaginator {
	return &FilterLogEventsPaginator{}
}

// HasMorePages is false.
func (*FilterLogEventsPaginator) HasMorePages() bool { return false }

// NextPage returns errors.ErrUnsupported.
func (*FilterLogEventsPaginator) NextPage(context.Context, ...func(*Options)) (*FilterLogEventsOutput, error) {
	return nil, errors.ErrUnsupported
}
