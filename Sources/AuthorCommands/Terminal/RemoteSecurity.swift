import Glibc
import RemoteClient
import RemoteTLS
import Wire

extension RemoteAddress {
    /// TLS, where the URL asks for it: certificates are held against the system's authorities, or those in the file `SSL_CERT_FILE`.
    func security() throws -> (any ClientSecurity)? {
        guard isSecure else { return nil }
        let file = getenv("SSL_CERT_FILE").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        do throws(TLSFailure) {
            return try TLSClient(roots: file)
        } catch {
            guard case .roots = error, let file else { throw Failure(error.rawValue, hint: error.remedy) }
            throw Failure("SSL_CERT_FILE names \(file), whose certificates cannot be read", hint: error.remedy)
        }
    }
}
