FROM orchard-test/debian
COPY prometheus /bin/prometheus
# A volume begins with the owner of the folder it covers.
RUN install -d -o 65534 -g 65534 /prometheus
ENTRYPOINT ["/bin/prometheus"]
