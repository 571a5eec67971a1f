import NIOCore

/// POSIX pax/ustar, written in order. Long names go into pax records.
struct TarWriter {
    private var bytes = ByteBuffer()
    var count: Int { bytes.readableBytes }

    mutating func directory(_ name: String) { entry(name + "/", type: "5", mode: 0o755, content: [], link: "") }
    mutating func file(_ name: String, _ content: [UInt8], executable: Bool) {
        entry(name, type: "0", mode: executable ? 0o755 : 0o644, content: content, link: "")
    }
    mutating func link(_ name: String, to target: String) { entry(name, type: "2", mode: 0o777, content: [], link: target) }

    mutating func finish() -> ByteBuffer {
        bytes.writeRepeatingByte(0, count: 1_024)
        return bytes
    }

    private mutating func entry(_ name: String, type: Character, mode: Int, content: [UInt8], link: String) {
        var records: [UInt8] = []
        if name.utf8.count > 100 { records += Self.record("path", name) }
        if link.utf8.count > 100 { records += Self.record("linkpath", link) }
        if !records.isEmpty { block("pax", type: "x", mode: 0o644, content: records, link: "") }
        block(String(name.suffix(90)), type: type, mode: mode, content: content, link: String(link.prefix(90)))
    }

    private mutating func block(_ name: String, type: Character, mode: Int, content: [UInt8], link: String) {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int, _ limit: Int) {
            for (index, byte) in text.utf8.prefix(limit).enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int, at offset: Int, _ width: Int) {
            let digits = String(value, radix: 8)
            put(String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits, at: offset, width - 1)
        }
        put(name, at: 0, 100)
        octal(mode, at: 100, 8)
        octal(0, at: 108, 8)
        octal(0, at: 116, 8)
        octal(content.count, at: 124, 12)
        octal(0, at: 136, 12)
        put("        ", at: 148, 8)
        put(String(type), at: 156, 1)
        put(link, at: 157, 100)
        put("ustar", at: 257, 6)
        put("00", at: 263, 2)
        octal(header.reduce(0) { $0 + Int($1) }, at: 148, 7)
        header[154] = 0
        bytes.writeBytes(header)
        bytes.writeBytes(content)
        bytes.writeRepeatingByte(0, count: (512 - content.count % 512) % 512)
    }

    private static func record(_ key: String, _ value: String) -> [UInt8] {
        let body = " \(key)=\(value)\n"
        var length = body.utf8.count + 1
        while "\(length)".utf8.count + body.utf8.count != length { length = "\(length)".utf8.count + body.utf8.count }
        return Array("\(length)\(body)".utf8)
    }
}
