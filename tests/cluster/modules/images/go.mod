module portolan.dev/tests/cluster/images

go 1.26.0
