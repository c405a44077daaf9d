// A reader that moves forward only.
// Called by bind/. Promises: see head.h.
#include "head.h"

#include <algorithm>

#include "../core/limits.h"
#include "places.h"
#include "words.h"

namespace sluice::http {
namespace {

constexpr int64_t length_max = 0x7fffffff;

class Parser {
 public:
  Parser(Bytes bytes, int32_t* out)
      : bytes_(bytes),
        at_(bytes.data),
        end_(bytes.data + std::min(bytes.size, limits::reply_head_bytes_max)),
        out_(out) {}

  HeadResult parse() {
    std::fill(out_, out_ + head::session_id, 0);
    std::fill(out_ + head::session_id, out_ + head::headers, -1);
    out_[head::content_length] = -1;
    HeadResult result = status_line();
    while (result == HeadResult::ok) {
      if (at_ == end_) {
        result = HeadResult::more;
      } else if (*at_ == '\r') {
        result = line_end();
        if (result == HeadResult::ok) return finish();
      } else {
        result = header_line();
      }
    }
    const bool full = bytes_.size >= limits::reply_head_bytes_max;
    return result == HeadResult::more && full ? HeadResult::large : result;
  }

 private:
  int32_t offset(const uint8_t* place) const { return bytes_.origin + static_cast<int32_t>(place - bytes_.data); }

  void put(int32_t slot, Word word) {
    out_[slot] = offset(word.start);
    out_[slot + 1] = offset(word.end);
  }

  HeadResult finish() {
    out_[head::body_start] = offset(at_);
    out_[head::keep_alive] = !closes_ && (out_[head::minor] == 1 || keeps_) ? 1 : 0;
    return HeadResult::ok;
  }

  /// Over the CR at the current place and its LF.
  HeadResult line_end() {
    if (end_ - at_ < 2) return HeadResult::more;
    if (at_[1] != '\n') return HeadResult::bad;
    at_ += 2;
    return HeadResult::ok;
  }

  /// Over text up to a CR.
  HeadResult text() {
    while (at_ < end_ && is_text(*at_)) at_++;
    if (at_ == end_) return HeadResult::more;
    return *at_ == '\r' ? HeadResult::ok : HeadResult::bad;
  }

  /// RFC 9112 §4. The blank behind the code may be missing, as some servers leave it out together with the reason.
  HeadResult status_line() {
    for (const char expected : {'H', 'T', 'T', 'P', '/', '1', '.'}) {
      if (at_ == end_) return HeadResult::more;
      if (*at_++ != static_cast<uint8_t>(expected)) return HeadResult::bad;
    }
    if (at_ == end_) return HeadResult::more;
    if (*at_ != '0' && *at_ != '1') return HeadResult::bad;
    out_[head::minor] = *at_++ - '0';
    if (at_ == end_) return HeadResult::more;
    if (*at_++ != ' ') return HeadResult::bad;
    int32_t status = 0;
    for (int digits = 0; digits < 3; digits++) {
      if (at_ == end_) return HeadResult::more;
      const uint8_t digit = *at_++;
      if (digit < '0' || digit > '9' || (digits == 0 && (digit < '1' || digit > '5'))) return HeadResult::bad;
      status = status * 10 + (digit - '0');
    }
    out_[head::status] = status;
    if (at_ == end_) return HeadResult::more;
    if (*at_ != ' ' && *at_ != '\r') return HeadResult::bad;
    const HeadResult result = text();
    return result == HeadResult::ok ? line_end() : result;
  }

  HeadResult header_line() {
    const auto count = static_cast<size_t>(out_[head::header_count]);
    if (count == limits::reply_header_count_max) return HeadResult::large;
    Word name{at_, at_};
    while (name.end < end_ && is_token(*name.end)) name.end++;
    if (name.end == end_) return HeadResult::more;
    if (name.end == name.start || *name.end != ':') return HeadResult::bad;
    at_ = name.end + 1;
    HeadResult result = text();
    if (result != HeadResult::ok) return result;
    const Word value = trim({name.end + 1, at_});
    result = line_end();
    if (result != HeadResult::ok) return result;
    const auto slot = head::headers + 4 * static_cast<int32_t>(count);
    put(slot, name);
    put(slot + 2, value);
    out_[head::header_count]++;
    return note(name, value);
  }

  /// Takes what the framing, the reuse of the connection and the session need from one header.
  HeadResult note(Word name, Word value) {
    switch (name.end - name.start) {
      case 10:
        if (spells(name, "connection")) note_connection(value);
        break;
      case 12:
        if (spells(name, "content-type")) {
          put(head::content_type, value);
          out_[head::media] = media_of(value);
        }
        break;
      case 14:
        if (spells(name, "content-length")) return note_length(value);
        if (spells(name, "mcp-session-id")) put(head::session_id, value);
        break;
      case 17:
        if (spells(name, "transfer-encoding")) return note_encoding(value);
        break;
      default:
        break;
    }
    return HeadResult::ok;
  }

  HeadResult note_length(Word value) {
    if (out_[head::content_length] != -1 || out_[head::chunked] == 1 || value.start == value.end) {
      return HeadResult::ambiguous;
    }
    int64_t length = 0;
    for (const uint8_t* at = value.start; at < value.end; at++) {
      if (*at < '0' || *at > '9') return HeadResult::ambiguous;
      length = std::min(length * 10 + (*at - '0'), length_max + 1);
    }
    if (length > length_max) return HeadResult::large;
    out_[head::content_length] = static_cast<int32_t>(length);
    return HeadResult::ok;
  }

  /// RFC 9112 §6.1: never in an HTTP/1.0 reply, never beside a length.
  HeadResult note_encoding(Word value) {
    const bool alone = out_[head::content_length] == -1 && out_[head::chunked] == 0 && out_[head::minor] == 1;
    if (!alone || !spells(value, "chunked")) return HeadResult::ambiguous;
    out_[head::chunked] = 1;
    return HeadResult::ok;
  }

  void note_connection(Word value) {
    while (value.start <= value.end) {
      const uint8_t* const stop = std::find(value.start, value.end, ',');
      const Word option = trim({value.start, stop});
      if (spells(option, "close")) closes_ = true;
      if (spells(option, "keep-alive")) keeps_ = true;
      value.start = stop + 1;
    }
  }

  static int32_t media_of(Word value) {
    const Word type = trim({value.start, std::find(value.start, value.end, ';')});
    if (spells(type, "application/json")) return media::json;
    return spells(type, "text/event-stream") ? media::event_stream : media::other;
  }

  const Bytes bytes_;
  const uint8_t* at_;
  const uint8_t* const end_;
  int32_t* const out_;
  bool closes_ = false;
  bool keeps_ = false;
};

}  // namespace

HeadResult parse_head(Bytes bytes, int32_t* out) { return Parser(bytes, out).parse(); }

}  // namespace sluice::http
