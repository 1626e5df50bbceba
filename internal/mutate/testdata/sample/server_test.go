package sample_test

import "testing"

func TestWithAServer(t *testing.T) { t.Fatal("there is no server") }
