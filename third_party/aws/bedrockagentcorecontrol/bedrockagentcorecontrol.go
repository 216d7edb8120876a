// Package bedrockagentcorecontrol stands in for the AWS client of that name, see ../README.md.
package bedrockagentcorecontrol

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Client answers every call with errors.ErrUnsupported.
type Client struct{}

// Options has no fields.
type Options struct{}

// GetAgentRuntimeEndpointInput names an endpoint of a runtime.
type GetAgentRuntimeEndpointInput struct{ AgentRuntimeId, EndpointName *string }

// GetAgentRuntimeEndpointOutput is never returned.
type GetAgentRuntimeEndpointOutput struct{}

// NewFromConfig returns a client.
func NewFromConfig(aws.Config, ...func(*Options)) *Client { return &Client{} }

// GetAgentRuntimeEndpoint returns errors.ErrUnsupported.
func (*Client) GetAgentRuntimeEndpoint(context.Context, *GetAgentRuntimeEndpointInput, ...func(*Options)) (*GetAgentRuntimeEndpointOutput, error) {
	return nil, errors.ErrUnsupported
}
