// Registry is a container registry for one cluster: manifests in memory, blobs in a directory, TLS.
//
//	registry ADDRESS CERTIFICATE KEY DIR
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: registry ADDRESS CERTIFICATE KEY DIR")
	}
	handler := registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(os.Args[4])))
	log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[2], os.Args[3], handler))
}
