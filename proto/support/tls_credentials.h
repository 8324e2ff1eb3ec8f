// TLS for gRPC: both sides show a certificate, and both check the other's.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "core/security/tls_files.h"

namespace dropbp {

// Of a server: clients must show a certificate that the files' authority vouches for. Plain text if
// no files are given.
//
// The files are read again when they change, for connections opened from then on; it takes up to
// two seconds. While they do not fit one another (a new key with the old certificate), no
// connection is accepted. CheckTlsFiles() is for the caller: files that are missing are no error
// here.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files);

// Of a client: the server's certificate must name the host that is dialled, or the name in the
// channel argument GRPC_SSL_TARGET_NAME_OVERRIDE_ARG. Files are read again as above. Each call
// starts a thread that watches them: make credentials once and share them.
std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsFiles& files);

}  // namespace dropbp
