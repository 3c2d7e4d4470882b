// Package cache
package cache
