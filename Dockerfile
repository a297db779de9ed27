# The image that deploy/kubernetes runs on each node: the three static binaries, and nothing besides. `make image` builds it.
FROM scratch
COPY bin/oci-add-hooks bin/oci-run-hook bin/hookctl /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/hookctl"]
