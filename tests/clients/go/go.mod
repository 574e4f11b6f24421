module portolan.dev/portolan/tests/clients

go 1.26
