// Package lambda stands in for the AWS client of that name, see ../README.md.
package lambda

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Client answers every call with errors.ErrUnsupported.
type Client struct{}

// Options has no fields.
type Options struct{}

// InvokeInput names a function to call.
type InvokeInput struct {
	FunctionName   *string
	InvocationType types.InvocationType
}

// InvokeOutput is never returned.
type InvokeOutput struct{ FunctionError *string }

// GetFunctionInput names a function.
type GetFunctionInput struct{ FunctionName *string }

// GetFunctionOutput is never returned.
type GetFunctionOutput struct{}

// NewFromConfig returns a client.
func NewFromConfig(aws.Config, ...func(*Options)) *Client { return &Client{} }

// Invoke returns errors.ErrUnsupported.
func (*Client) Invoke(context.Context, *InvokeInput, ...func(*Options)) (*InvokeOutput, error) {
	return nil, errors.ErrUnsupported
}

// GetFunction returns errors.ErrUnsupported.
func (*Client) GetFunction(context.Context, *GetFunctionInput, ...func(*Options)) (*GetFunctionOutput, error) {
	return nil, errors.ErrUnsupported
}
