//go:build !linux

package main

func cramped() { main() }
