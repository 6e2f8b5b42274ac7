/* SPDX-License-Identifier: MIT */

/* What the parser finds, kept as far as an answer needs it. A callback that returns -1 ends the parsing; 1 would mean
   something else at the end of a head: that no body follows. */
#include "server.h"

#include <string.h>
#include <strings.h>

static struct conn *conn_of(http_parser *parser)
{
    return (struct conn *)(void *)((char *)parser - offsetof(struct conn, parser));
}

static int refuse(struct conn *conn, unsigned status)
{
    conn_refuse(conn, status);
    return -1;
}

bool request_is_for(const struct request *request, const char *path)
{
    return request->path_length == strlen(path) && memcmp(request->target + request->path_at, path, strlen(path)) == 0;
}

static int on_begin(http_parser *parser)
{
    struct conn *conn = conn_of(parser);
    conn->request = request_get();
    conn->request_since = conn->worker->now;
    return conn->request ? 0 : refuse(conn, HTTP_STATUS_SERVICE_UNAVAILABLE);
}

static int on_target(http_parser *parser, const char *at, size_t n)
{
    struct conn *conn = conn_of(parser);
    struct request *request = conn->request;
    if (n > (size_t)TARGET_MOST - request->target_length)
        return refuse(conn, HTTP_STATUS_URI_TOO_LONG);
    memcpy(request->target + request->target_length, at, n);
    request->target_length = (uint16_t)(request->target_length + n);
    return 0;
}

/* Pieces of a name or value: what is longer than NAME_MOST is none that we look for. */
static uint8_t collect(char *to, uint8_t length, const char *at, size_t n)
{
    if (n >= (size_t)NAME_MOST - length)
        return NAME_MOST;
    memcpy(to + length, at, n);
    return (uint8_t)(length + n);
}

static bool is(const char *text, uint8_t length, const char *wanted)
{
    return length == strlen(wanted) && strncasecmp(text, wanted, length) == 0;
}

static bool names(const struct request *request, const char *wanted)
{
    return is(request->name, request->name_length, wanted);
}

/* Spaces behind a value are none of it. */
static bool says(const struct request *request, const char *wanted)
{
    uint8_t length = request->value_length;
    while (length && length < NAME_MOST && (request->value[length - 1] == ' ' || request->value[length - 1] == '\t'))
        length--;
    return is(request->value, length, wanted);
}

static void count_to_two(uint8_t *counter)
{
    *counter = (uint8_t)(*counter + (*counter < 2));
}

static void end_header(struct request *request)
{
    if (names(request, "host"))
        count_to_two(&request->hosts);
    else if (names(request, "expect"))
        request->expects_continue |= says(request, "100-continue");
    else if (names(request, "transfer-encoding")) {
        if (says(request, "chunked"))
            count_to_two(&request->codings);
        else
            request->other_coding = true;
    }
    request->name_length = request->value_length = 0;
    request->in_value = false;
}

/* The parser lets "Content-Length : 3" pass, which others take for another header, or for none: where one request ends
   must not be a matter of opinion. */
static int on_field(http_parser *parser, const char *at, size_t n)
{
    struct request *request = conn_of(parser)->request;
    if (memchr(at, ' ', n))
        return refuse(conn_of(parser), HTTP_STATUS_BAD_REQUEST);
    if (request->in_value)
        end_header(request);
    request->name_length = collect(request->name, request->name_length, at, n);
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t n)
{
    struct request *request = conn_of(parser)->request;
    request->in_value = true;
    request->value_length = collect(request->value, request->value_length, at, n);
    return 0;
}

static bool declares_length(const http_parser *parser)
{
    return parser->flags & F_CONTENTLENGTH && !(parser->flags & F_CHUNKED);
}

/* Of either form, /path?query or http://host/path?query; false: of none. */
static bool find_path(struct request *request, bool is_connect)
{
    struct http_parser_url url;
    http_parser_url_init(&url);
    if (http_parser_parse_url(request->target, request->target_length, is_connect, &url) != 0)
        return false;
    request->path_at = url.field_data[UF_PATH].off; /* without a path both are 0, and it names no file */
    request->path_length = url.field_data[UF_PATH].len;
    return true;
}

/* We know one coding, once, and not in HTTP/1.0, whose servers know none: elsewhere the body's end is disputed. */
static unsigned fault_of_coding(const http_parser *parser, const struct request *request)
{
    const unsigned codings_most = parser->http_minor ? 1 : 0;
    if (request->other_coding)
        return HTTP_STATUS_NOT_IMPLEMENTED;
    return request->codings > codings_most ? HTTP_STATUS_BAD_REQUEST : 0;
}

/* The status of a head that has no answer of its own; 0: it has. */
static unsigned fault_of(const http_parser *parser, struct request *request)
{
    if (parser->http_major != 1)
        return HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
    if (request->hosts > 1 || (!request->hosts && parser->http_minor))
        return HTTP_STATUS_BAD_REQUEST;
    if (!find_path(request, parser->method == HTTP_CONNECT))
        return HTTP_STATUS_BAD_REQUEST;
    if (declares_length(parser) && parser->content_length > settings.body_most)
        return HTTP_STATUS_PAYLOAD_TOO_LARGE;
    return fault_of_coding(parser, request);
}

static int on_headers(http_parser *parser)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct conn *conn = conn_of(parser);
    struct request *request = conn->request;
    end_header(request);
    parser->upgrade = 0; /* we speak nothing else, and may ignore the wish */
    const unsigned fault = fault_of(parser, request);
    if (fault)
        return refuse(conn, fault);
    request->wants_body = parser->method == HTTP_POST && request_is_for(request, "/echo");
    if (request->expects_continue && parser->http_minor && !queue_append(&conn->out, go_on, sizeof go_on - 1))
        return refuse(conn, HTTP_STATUS_SERVICE_UNAVAILABLE);
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t n)
{
    struct conn *conn = conn_of(parser);
    struct request *request = conn->request;
    request->body_length += n;
    if (request->body_length > settings.body_most)
        return refuse(conn, HTTP_STATUS_PAYLOAD_TOO_LARGE);
    if (request->wants_body && !queue_append(&request->body, at, n))
        return refuse(conn, HTTP_STATUS_SERVICE_UNAVAILABLE);
    return 0;
}

/* One at a time: the next request is not looked at before this one's answer has room. */
static int on_complete(http_parser *parser)
{
    struct conn *conn = conn_of(parser);
    conn->keep_alive = http_should_keep_alive(parser);
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_begin,
    .on_url = on_target,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

void http_start(struct conn *conn)
{
    http_parser_init(&conn->parser, HTTP_REQUEST);
}

static void end_request(struct conn *conn)
{
    if (conn->request) {
        queue_clear(&conn->request->body);
        request_put(conn->request);
        conn->request = NULL;
        conn->request_since = 0;
    }
}

void http_parse(struct conn *conn)
{
    struct io_buf *in = io_buf_ref_get(conn->in);
    struct opool_view view = io_buf_view(in);
    size_t n = http_parser_execute(&conn->parser, &callbacks, (const char *)view.data, view.length);
    io_buf_consume(in, n);
    if (conn->request) /* blank lines between requests are no reason to keep a connection */
        conn->since = conn->worker->now;
    switch (HTTP_PARSER_ERRNO(&conn->parser)) {
    case HPE_OK:
        return;
    case HPE_PAUSED:
        http_parser_pause(&conn->parser, 0);
        answer(conn);
        break;
    case HPE_HEADER_OVERFLOW:
        conn_refuse(conn, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
        break;
    default: /* nothing more, if a callback has refused */
        conn_refuse(conn, HTTP_STATUS_BAD_REQUEST);
    }
    end_request(conn);
}
