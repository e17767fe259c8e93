FROM orchard-test/debian
COPY tritonserver /opt/tritonserver
COPY fil /opt/tritonserver/backends/fil
# Where the server's own RPATH looks.
COPY nvidia_pytriton.libs /nvidia_pytriton.libs
COPY treelite /opt/treelite
COPY treelite.libs /opt/treelite.libs
RUN echo /opt/treelite/lib > /etc/ld.so.conf.d/treelite.conf && ldconfig
