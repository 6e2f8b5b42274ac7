/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "known.h"

static const char *const wrappers[] = {
    /* the C library and its replacements */
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "memalign",
    "posix_memalign",
    "aligned_alloc",
    "valloc",
    "pvalloc",
    "__libc_*alloc*",
    "__libc_memalign",
    "strdup",
    "strndup",
    "__strdup",
    "__strndup",
    "je_*alloc*",
    "tc_*alloc*",
    "tc_new*",
    "mi_*alloc*",
    "mi_new*",
    /* C++ */
    "operator new*",
    "_Znw*",
    "_Zna*",
    "*std::*allocator*",
    "__gnu_cxx::*allocator*",
    "std::*_M_allocate*",
    "std::*_M_get_node*",
    "std::*_M_create_node*",
    "std::*_M_allocate_node*",
    "std::__detail::*allocate*",
    "*std::make_unique<*",
    "*std::make_shared<*",
    "*std::allocate_shared<*",
    "std::__shared_*",
    /* projects' own */
    "xmalloc*",
    "xcalloc*",
    "xrealloc*",
    "xzalloc*",
    "xnmalloc*",
    "xmemdup*",
    "xstrdup*",
    "xstrndup*",
    "x2realloc*",
    "xnrealloc*",
    "safe_malloc*",
    "safe_calloc*",
    "my_malloc*",
    "mem_alloc*",
    "checked_malloc*",
    "emalloc*",
    "ecalloc*",
    "g_malloc*",
    "g_try_malloc*",
    "g_realloc*",
    "g_calloc*",
    "g_slice_alloc*",
    "g_strdup*",
    "g_memdup*",
    "g_new*",
    "pool_get_from_os*",
    "pool_alloc_nocache*",
    "__pool_alloc*",
    "pool_alloc*",
    "pool_refill_alloc*",
    "pool_zalloc*",
    "ngx_alloc",
    "ngx_calloc",
    "ngx_memalign",
    "ngx_palloc*",
    "ngx_pnalloc",
    "ngx_pcalloc",
    "zmalloc*",
    "zcalloc*",
    "zrealloc*",
    "ztrymalloc*",
    "ztrycalloc*",
    "av_malloc*",
    "av_calloc*",
    "av_realloc*",
    "av_fast_malloc*",
    "CRYPTO_malloc",
    "CRYPTO_zalloc",
    "CRYPTO_realloc",
    "sqlite3Malloc*",
    "sqlite3MemMalloc",
    "sqlite3_malloc*",
    "sqlite3DbMalloc*",
    "PyMem_*alloc*",
    "_PyMem_*alloc*",
    "PyObject_Malloc",
    "_PyObject_Malloc",
    "Perl_safesys*",
    "ZSTD_customMalloc",
    "ZSTD_customCalloc",
    "ZSTD_malloc",
    "nghttp2_mem_*",
    "default_malloc",
    "default_calloc",
    "OPENSSL_*alloc*",
    "apr_palloc*",
    "event_mm_*",
    "uv__malloc",
    "uv__calloc",
    "json_malloc",
    "jsonp_malloc",
    "xmlMalloc*",
    "luaM_malloc_",
    "l_alloc",
    "luaM_realloc_",
};

static const char *const pools[] = {
    "pool_get_from_os*", "pool_refill_alloc*", "ngx_palloc*",      "ngx_create_pool", "apr_palloc*",
    "apr_allocator_*",   "g_slice_alloc*",     "slabs_*",          "do_slabs_*",      "*arena*alloc*",
    "obstack_*",         "_obstack_*",         "av_buffer_pool_*", "opool_*",         "opool__*",
};

bool opool__profile_is_wrapper(const char *function, char *const *more, size_t count)
{
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (fnmatch(wrappers[i], function, 0) == 0)
            return true;
    for (size_t i = 0; i < count; i++)
        if (fnmatch(more[i], function, 0) == 0)
            return true;
    return false;
}

bool opool__profile_is_pool(const char *function)
{
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        if (fnmatch(pools[i], function, 0) == 0)
            return true;
    return false;
}

/* ---- contexts ---- */

static const struct known_context contexts[] = {
    {"libzstd", "ZSTD_createDCtx*", "ZSTD_freeDCtx", "ZSTD_DCtx_reset", 2, "context zstd"},
    {"libzstd", "ZSTD_createDStream*", "ZSTD_freeDStream", "ZSTD_DCtx_reset", 2, "context zstd"},
    {"libzstd", "ZSTD_createCCtx", "ZSTD_freeCCtx", "ZSTD_CCtx_reset", 2, "context zstd"},
    {"libzstd", "ZSTD_createCStream*", "ZSTD_freeCStream", "ZSTD_CCtx_reset", 2, "context zstd"},
    {"libopus", "opus_decoder_create", "opus_decoder_destroy", "OPUS_RESET_STATE", 9, NULL},
    {"libopus", "opus_encoder_create", "opus_encoder_destroy", "OPUS_RESET_STATE", 9, NULL},
    {"zlib", "inflateInit*", "inflateEnd", "inflateReset", 0, NULL},
    {"zlib", "inflateBackInit*", "inflateBackEnd", NULL, 0, NULL},
    {"zlib", "deflateInit*", "deflateEnd", "deflateReset", 0, NULL},
    {"liblz4", "LZ4F_createDecompressionContext*", "LZ4F_freeDecompressionContext", "LZ4F_resetDecompressionContext", 0,
     NULL},
    {"liblz4", "LZ4F_createCompressionContext*", "LZ4F_freeCompressionContext", NULL, 0, NULL},
    {"liblz4", "LZ4_createStream*", "LZ4_freeStream", "LZ4_resetStream_fast", 0, NULL},
    {"brotli", "BrotliDecoderCreateInstance", "BrotliDecoderDestroyInstance", NULL, 0, NULL},
    {"brotli", "BrotliEncoderCreateInstance", "BrotliEncoderDestroyInstance", NULL, 0, NULL},
    {"liblzma", "lzma_*_decoder", "lzma_end", "the same call again on the same lzma_stream", 0, NULL},
    {"liblzma", "lzma_*_encoder", "lzma_end", "the same call again on the same lzma_stream", 0, NULL},
    {"bzip2", "BZ2_bz*Init", "BZ2_bz*End", NULL, 0, NULL},
    {"expat", "XML_ParserCreate*", "XML_ParserFree", "XML_ParserReset", 0, NULL},
    {"libxml2", "xmlNewParserCtxt", "xmlFreeParserCtxt", "xmlCtxtReset", 0, NULL},
    {"libcurl", "curl_easy_init", "curl_easy_cleanup", "curl_easy_reset", 0, NULL},
    {"OpenSSL", "EVP_MD_CTX_new", "EVP_MD_CTX_free", "EVP_MD_CTX_reset", 0, NULL},
    {"OpenSSL", "EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free", "EVP_CIPHER_CTX_reset", 0, NULL},
    {"OpenSSL", "HMAC_CTX_new", "HMAC_CTX_free", "HMAC_CTX_reset", 0, NULL},
    {"OpenSSL", "SSL_new", "SSL_free", "SSL_clear", 0, NULL},
    {"Lua", "luaL_newstate", "lua_close", NULL, 0, NULL},
    {"Lua", "lua_newstate", "lua_close", NULL, 0, NULL},
    {"libavcodec", "avcodec_alloc_context3", "avcodec_free_context", "avcodec_flush_buffers", 0, NULL},
    {"libavutil", "av_frame_alloc", "av_frame_free", "av_frame_unref", 0, NULL},
    {"libavcodec", "av_packet_alloc", "av_packet_free", "av_packet_unref", 0, NULL},
    {"libevent", "evbuffer_new", "evbuffer_free", "evbuffer_drain", 0, NULL},
    {"PCRE2", "pcre2_match_data_create*", "pcre2_match_data_free*", NULL, 0, NULL},
    {"libjpeg", "jpeg_CreateDecompress", "jpeg_destroy_decompress", "jpeg_abort_decompress", 0, NULL},
    {"libjpeg", "jpeg_CreateCompress", "jpeg_destroy_compress", "jpeg_abort_compress", 0, NULL},
    {"libpng", "png_create_read_struct*", "png_destroy_read_struct", NULL, 0, NULL},
    {"libpng", "png_create_write_struct*", "png_destroy_write_struct", NULL, 0, NULL},
};

const struct known_context *opool__profile_known(const char *function)
{
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
        if (fnmatch(contexts[i].create, function, 0) == 0)
            return &contexts[i];
    return NULL;
}

/* The word as one of the name: "conn_new", "NewParser", "decoderInit2_", but not "renew" or "initial". */
static bool has_word(const char *name, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = name; *at; at++) {
        if (strncasecmp(at, word, length) != 0)
            continue;
        unsigned char before = at > name ? (unsigned char)at[-1] : '_', after = (unsigned char)at[length];
        bool starts = !isalpha(before) || isupper((unsigned char)*at);
        bool ends = !isalpha(after) || isupper(after);
        if (starts && ends)
            return true;
    }
    return false;
}

bool opool__profile_is_creation(const char *function)
{
    static const char *const words[] = {"create", "new", "init", "open", "alloc", "setup", "start"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (has_word(function, words[i]))
            return true;
    return false;
}
