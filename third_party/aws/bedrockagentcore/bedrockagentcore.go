// Package bedrockagentcore stands in for the AWS client of that name, see ../README.md.
package bedrockagentcore

import (
	"context"
	"errors"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Client answers every call with errors.ErrUnsupported.
type Client struct{}

// Options has no fields.
type Options struct{}

// InvokeAgentRuntimeInput names a runtime to call.
type InvokeAgentRuntimeInput struct {
	AgentRuntimeArn, AccountId, ContentType, Qualifier *string
	Payload                                            []byte
}

// InvokeAgentRuntimeOutput is never returned.
type InvokeAgentRuntimeOutput struct {
	Response   io.ReadCloser
	StatusCode *int32
}

// NewFromConfig returns a client.
func NewFromConfig(aws.Config, ...func(*Options)) *Client { return &Client{} }

// InvokeAgentRuntime returns errors.ErrUnsupported.
func (*Client) InvokeAgentRuntime(context.Context, *InvokeAgentRuntimeInput, ...func(*Options)) (*InvokeAgentRuntimeOutput, error) {
	return nil, errors.ErrUnsupported
}
