// Package ecs stands in for the AWS client of that name, see ../README.md.
package ecs

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Client answers every call with errors.ErrUnsupported.
type Client struct{}

// Options has no fields.
type Options struct{}

// DescribeServicesInput names services of a cluster.
type DescribeServicesInput struct {
	Cluster  *string
	Services []string
}

// DescribeServicesOutput is never returned.
type DescribeServicesOutput struct {
	Services []struct{ Status *string }
	Failures []struct{ Reason *string }
}

// UpdateServiceInput says how many tasks a service wants.
type UpdateServiceInput struct {
	Cluster, Service *string
	DesiredCount     *int32
}

// UpdateServiceOutput is never returned.
type UpdateServiceOutput struct{}

// NewFromConfig returns a client.
func NewFromConfig(aws.Config, ...func(*Options)) *Client { return &Client{} }

// DescribeServices returns errors.ErrUnsupported.
func (*Client) DescribeServices(context.Context, *DescribeServicesInput, ...func(*Options)) (*DescribeServicesOutput, error) {
	return nil, errors.ErrUnsupported
}

// UpdateService returns errors.ErrUnsupported.
func (*Client) UpdateService(context.Context, *UpdateServiceInput, ...func(*Options)) (*UpdateServiceOutput, error) {
	return nil, errors.ErrUnsupported
}
