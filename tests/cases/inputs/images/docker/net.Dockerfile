FROM node:22-slim
COPY app.js /
RUN echo "http_proxy=[$http_proxy] NO_PROXY=[$NO_PROXY]" > /seen
