// A profile as Python holds it, with its entries in order once somebody has asked for them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "profile.hpp"

namespace textassay::bindings {

class ProfileState {
   public:
    explicit ProfileState(std::shared_ptr<Profile> profile) : profile_(std::move(profile)) {}
    ProfileState(const ProfileState& other)
        : profile_(std::make_shared<Profile>(other.profile_->signals, other.profile_->histogram.max_types())) {
        profile_->merge(*other.profile_);
    }

    const Profile& profile() const { return *profile_; }
    // For a scan that counts into it; change() is called once it has.
    const std::shared_ptr<Profile>& shared() const { return profile_; }
    Profile& change() {
        const std::lock_guard lock(mutex_);
        sorted_.reset();
        return *profile_;
    }
    // Lives until the next change().
    const std::vector<Histogram::Sorted>& sorted() {
        const std::lock_guard lock(mutex_);
        if (!sorted_) sorted_ = std::make_unique<std::vector<Histogram::Sorted>>(profile_->histogram.sorted());
        return *sorted_;
    }

   private:
    std::shared_ptr<Profile> profile_;
    std::mutex mutex_;  // of sorted_
    std::unique_ptr<std::vector<Histogram::Sorted>> sorted_;
};

}  // namespace textassay::bindings
