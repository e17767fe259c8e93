FROM orchard-test/debian
COPY nginx /usr/sbin/nginx
