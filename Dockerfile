# The image that deploy/kubernetes runs on each node: the three static programs and nothing else. `make image` builds it.
FROM scratch
COPY bin/oci-add-hooks bin/oci-run-hook bin/hookctl /usr/local/bin/
ENTRYPOINT ["/usr/local/bin/hookctl"]
